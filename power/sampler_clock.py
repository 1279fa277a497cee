"""The clock of the machine a sampler runs on, kept in step with the controller's by asking for it."""

from __future__ import annotations

from collections import deque

import numpy as np

from power.clock import KEEP_ONE_OF, ClockFit, SteeredClock, fit_round_trips
from power.samples import IntArray

ROUND_TRIPS = 16 * KEEP_ONE_OF
"""kept for the fit"""
SETTLED_TRIPS = 3 * KEEP_ONE_OF
"""answered, and the clock is good enough to place samples by"""
EARLY_PAUSE_NS, LATER_PAUSE_NS = 10_000_000, 500_000_000
"""between two questions until the clock is settled, and afterwards: each one wakes the board"""


class SamplerClock:
    """Collects round trips of the sync request and maps the board's time by them."""

    def __init__(self) -> None:
        self._trips: deque[tuple[int, int, int, int]] = deque(maxlen=ROUND_TRIPS)
        self._asked_ns: dict[int, int] = {}
        self._asked = self._answered = 0
        self._due_ns = 0
        self._steered = SteeredClock()
        self.fit: ClockFit | None = None
        """as known now; None before the first 8 answers"""

    @property
    def settled(self) -> bool:
        """Whether `to_controller` may be used."""
        return self._answered >= SETTLED_TRIPS

    def due(self, now_ns: int) -> bool:
        """Whether it is time to ask again."""
        return now_ns >= self._due_ns

    def ask(self, now_ns: int) -> list[object]:
        """The request, about to be sent."""
        self._asked += 1
        self._asked_ns[self._asked] = now_ns
        self._due_ns = now_ns + (LATER_PAUSE_NS if self.settled else EARLY_PAUSE_NS)
        return ["sync", self._asked]

    def answered(self, number: int, received_ns: int, sent_ns: int, now_ns: int) -> None:
        """Its answer has arrived; one that nobody asked for is left alone."""
        asked_ns = self._asked_ns.pop(number, None)
        if asked_ns is None:
            return
        self._trips.append((asked_ns, received_ns, sent_ns, now_ns))
        self._answered += 1
        if self._answered % KEEP_ONE_OF == 0:
            self.fit = fit_round_trips(*np.array(self._trips, np.int64).T)

    def to_controller(self, board_ns: IntArray) -> IntArray:
        """Controller times of ascending board times; every call goes on from the one before."""
        if self.fit is None:
            raise RuntimeError("times are mapped only after 8 answered syncs")
        return self._steered.map(board_ns, self.fit)
