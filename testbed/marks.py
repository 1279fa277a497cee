"""Marks: events on the board's clock, placed on the controller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from power import ClockFit, fit_round_trips
from testbed.remote import RemoteAgent

ROUND_TRIPS = 16
KEPT = 512
"""round trips the fit looks back on"""


@dataclass(frozen=True, slots=True)
class Marks:
    """A trial's first and last mark, on the controller's clock."""

    start_ns: int
    end_ns: int
    standard_uncertainty_s: float
    """of each mark's place on the controller's clock"""


class BoardClock:
    """Maps the board's clock to the controller's, by round trips that keep coming."""

    def __init__(self, agent: RemoteAgent, now_ns: Callable[[], int]) -> None:
        self._agent = agent
        self._now_ns = now_ns
        self._trips = np.empty((0, 4), np.int64)
        self.fit = self.update()

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
        start, end = (int(time_ns) for time_ns in self.fit.to_controller([start_ns, end_ns]))
        return Marks(start, end, self.fit.uncertainty_s(end_ns))
