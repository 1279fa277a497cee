"""Marks: events on the board's clock, placed on the trace's."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from power import ClockFit, Samples, fit_events, fit_round_trips
from results.records import MarksMethod
from testbed.remote import RemoteAgent

ROUND_TRIPS = 16
KEPT = 512
"""round trips the fit looks back on"""
WANDER_S = 100e-6
"""how far the meter's own place in time moves within a second while it is known better and better (one standard
deviation; it grows with the square root of the time): as `bench.mark_accuracy` shows of the emulated meters"""


LEAST_DRIFT = 1e-8
"""no round trips know a drift better"""
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Marks:
    """A trial's first and last mark, on the trace's clock."""

    start_ns: int
    end_ns: int
    standard_uncertainty_s: float
    """of each mark's place on the trace"""


class Trace(Protocol):
    """The meter, as far as marks need it."""

    @property
    def clock(self) -> ClockFit:
        """How the meter's time is mapped to the controller's."""

    def trace(self, start_ns: int, end_ns: int) -> Samples:
        """The samples between two moments, once they are there; a `power.TransientError` when they do not come."""

    @property
    def opened(self) -> int:
        """How often the monitor was opened; each time its place in time begins anew."""


class Alignment(Protocol):
    """A way to place the board's marks on the trace. Every method may raise a `power.TransientError` of the meter."""

    method: MarksMethod

    def begin(self) -> None:
        """A block begins, or the monitor was opened again."""

    def end(self) -> None:
        """A block ends."""

    def forget(self) -> None:
        """The board's clock began anew: what tied it to the trace is void."""

    def place(self, trial: Mapping[str, Any]) -> Marks:
        """The marks of a trial, as the agent answered it."""

    def fit(self) -> ClockFit:
        """How the board's clock lies on the trace's, as known now."""

    @property
    def note(self) -> str:
        """What spoils the marks; empty when nothing does."""


class BoardClock:
    """Maps the board's clock to the controller's, by round trips that keep coming."""

    def __init__(self, agent: RemoteAgent, now_ns: Callable[[], int]) -> None:
        self._agent = agent
        self._now_ns = now_ns
        self.fit = self.begin_anew()

    def begin_anew(self) -> ClockFit:
        """Forget the round trips, as the board's clock is another one now, and make new ones."""
        self._trips = np.empty((0, 4), np.int64)
        return self.update()

    def update(self) -> ClockFit:
        """Make a few round trips, and fit offset and drift to those of late."""
        trips = []
        for _ in range(ROUND_TRIPS):
            sent_ns = self._now_ns()
            arrived_ns, answered_ns = self._agent.ask("now_ns")
            trips.append((sent_ns, arrived_ns, answered_ns, self._now_ns()))
        self._trips = np.concatenate([self._trips, np.array(trips, np.int64)])[-KEPT:]
        self.fit = fit_round_trips(*self._trips.T)
        return self.fit

    def place(self, start_ns: int, end_ns: int) -> Marks:
        """Two moments of the board's clock on the controller's."""
        return place(self.fit, start_ns, end_ns)


def place(fit: ClockFit, start_ns: int, end_ns: int, further_s: float = 0.0) -> Marks:
    """Two moments of the board's clock through a fit, which may be off by `further_s` besides."""
    start, end = (int(time_ns) for time_ns in fit.to_controller([start_ns, end_ns]))
    return Marks(start, end, math.hypot(fit.uncertainty_s(end_ns), further_s))


class Fitted(Protocol):
    """A board's clock."""

    @property
    def fit(self) -> ClockFit:
        """Its place on the controller's, as known now."""


class HostClocks:
    """No wire and no burst: board to controller by round trips, controller to trace by what the monitor knows."""

    method: MarksMethod = "clock"
    note = ""

    def __init__(self, board_clock: Fitted, meter: Trace) -> None:
        self._board_clock = board_clock
        self._meter = meter

    def begin(self) -> None:
        """The runner keeps the board's clock up to date."""

    def end(self) -> None:
        """Nothing is left open."""

    def forget(self) -> None:
        """It keeps nothing of its own."""

    def place(self, trial: Mapping[str, Any]) -> Marks:
        end_ns = int(self._board_clock.fit.to_controller(trial["end_ns"]))
        meter_s = self._meter.clock.uncertainty_at_s(end_ns)
        return place(self._board_clock.fit, trial["start_ns"], trial["end_ns"], meter_s)

    def fit(self) -> ClockFit:
        return self._board_clock.fit


class Anchors:
    """Events that both the board and the trace saw. They tell how far the trace lies off the controller's clock.

    How fast the board's clock drifts the round trips know better.
    """

    def __init__(self, keep: int) -> None:
        self._events: deque[tuple[int, int, float]] = deque(maxlen=keep)
        self.fit: ClockFit | None = None
        """None before the first event"""

    def clear(self) -> None:
        """Forget them: one of the clocks began anew."""
        self._events.clear()
        self.fit = None

    def add(self, board_ns: int, trace_ns: int, spread_s: float, host: ClockFit) -> None:
        """An event, with the standard uncertainty of its place; the older ones say less than they did."""
        self._events.append((board_ns, trace_ns, spread_s))
        board, trace, spread = (np.array(column) for column in zip(*self._events, strict=True))
        spread_s_now = np.hypot(spread, _wandered_s(board - board_ns))
        prior = max(host.drift_standard_uncertainty, LEAST_DRIFT)
        self.fit = fit_events(board, trace, spread_s_now, drift=host.drift, drift_prior=prior)

    def place(self, fit: ClockFit, trial: Mapping[str, Any], further_s: float) -> Marks:
        """The marks of a trial through the fit, which may be off by `further_s` besides."""
        end_ns = trial["end_ns"]
        wandered_s = float(_wandered_s(end_ns - self._events[-1][0]))
        return place(fit, trial["start_ns"], end_ns, math.hypot(wandered_s, further_s))

    def off_s(self, board_ns: int, trace_ns: int) -> float:
        """How far an event lies from where the ones before have it; 0 before the first."""
        return (trace_ns - int(self.fit.to_controller(board_ns))) * 1e-9 if self.fit else 0.0


def _wandered_s(since_ns: ArrayLike) -> FloatArray:
    return np.asarray(WANDER_S * np.sqrt(np.abs(np.asarray(since_ns)) * 1e-9))
