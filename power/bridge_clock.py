"""The bridge's tick counter, kept in step with the controller's clock by asking for it."""

from __future__ import annotations

from collections import deque

import numpy as np

from power.bridge_protocol import unwrap
from power.clock import KEEP_ONE_OF, ClockFit, SteeredClock, fit_round_trips
from power.samples import IntArray

RESONATOR_DRIFT = 5e-3
"""rate error to reckon with before it is measured: an Arduino's ceramic resonator, 0.5 % (Murata CSTCE16M0V53)"""
ROUND_TRIPS = 16 * KEEP_ONE_OF
"""kept for the fit"""
SETTLED_TRIPS = 3 * KEEP_ONE_OF
"""answered, and the clock is good enough to place samples by"""
EARLY_TRIPS = 12 * KEEP_ONE_OF
EARLY_PAUSE_NS, LATER_PAUSE_NS = 10_000_000, 200_000_000
"""between two questions, until so many were answered and afterwards: 80 bytes/s of the line's 100,000"""


class BridgeClock:
    """Collects round trips of the sync command and maps ticks by them."""

    def __init__(self, ticks_per_second: int) -> None:
        self.tick_s = 1.0 / ticks_per_second
        self._trips: deque[tuple[int, int, int]] = deque(maxlen=ROUND_TRIPS)
        self._asked_ns: dict[int, int] = {}
        self._answered = 0
        self._due_ns = 0
        self._latest: int | None = None
        self._steered = SteeredClock()
        self._fit: ClockFit | None = None

    @property
    def fit(self) -> ClockFit | None:
        """As known now, for the times that were mapped; None before the first 8 answers."""
        return None if self._fit is None else self._steered.as_kept(self._fit)

    @property
    def settled(self) -> bool:
        """Whether `to_controller` may be used."""
        return self._answered >= SETTLED_TRIPS

    def due(self, now_ns: int) -> bool:
        """Whether it is time to ask again."""
        return now_ns >= self._due_ns

    def asked(self, sequence: int, now_ns: int) -> None:
        """The sync command of this sequence number is about to be written. An unanswered one of the same is void."""
        self._asked_ns[sequence] = now_ns
        self._due_ns = now_ns + (EARLY_PAUSE_NS if self._answered < EARLY_TRIPS else LATER_PAUSE_NS)

    def answered(self, sequence: int, tick: int, now_ns: int) -> None:
        """Its answer has arrived; one that nobody asked for is left alone."""
        asked_ns = self._asked_ns.pop(sequence, None)
        if asked_ns is None:
            return
        at_ns = round(self.unwrap(tick) * self.tick_s * 1e9)
        self._trips.append((asked_ns, at_ns, now_ns))
        self._answered += 1
        if self._answered % KEEP_ONE_OF == 0:
            t0, t1, t3 = np.array(self._trips, np.int64).T
            self._fit = fit_round_trips(t0, t1, t1, t3, drift_prior=RESONATOR_DRIFT)

    def unwrap(self, tick: int) -> int:
        """The counter without its 32-bit wrap."""
        self._latest = tick if self._latest is None else unwrap(tick, near=self._latest)
        return self._latest

    def to_controller(self, ticks: IntArray) -> IntArray:
        """Controller times in ns of ascending, unwrapped ticks; every call goes on from the one before."""
        if self._fit is None:
            raise RuntimeError("ticks are mapped only after 8 answered syncs")
        return self._steered.map(np.rint(ticks * (self.tick_s * 1e9)).astype(np.int64), self._fit)
