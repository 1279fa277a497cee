"""Places counted samples in time when the device sends neither a count nor a clock: only arrivals tell."""

from __future__ import annotations

import numpy as np

from power.clock import ClockFit, LowerEnvelope, SteeredClock
from power.samples import IntArray

SETTLE_NS = 250_000_000
"""after the start, or after a loss, so long a run of samples waits until its earliest arrival tells where it belongs"""


class CountClock:
    """Gives runs of samples their index and their time.

    Within an unbroken run the count is the clock. How many samples a break has swallowed nobody says; the earliest of
    the arrivals after it does, measured from the envelope of those before it.
    """

    def __init__(self, period_ns: int, latency_s: float, latency_standard_uncertainty_s: float) -> None:
        self._period_ns = period_ns
        self._envelope = LowerEnvelope(latency_s, latency_standard_uncertainty_s)
        self._steered = SteeredClock()
        self._next = 0
        self._least_lost = 0
        self._arrivals: list[tuple[int, int]] = []
        """(samples of the run, when they were there), of a run that is not placed yet"""
        self.placed = False
        """whether `stamp` knows where the samples after the last stamped one belong"""
        self._fit: ClockFit | None = None

    @property
    def fit(self) -> ClockFit | None:
        """As known now, for the times that were stamped; None before the first run is placed."""
        return None if self._fit is None else self._steered.as_kept(self._fit)

    def broken(self, least_lost: int) -> None:
        """At least so many samples were lost after the last stamped one; those of a run not yet placed among them."""
        self.placed = False
        self._least_lost = least_lost
        self._arrivals = []

    def arrived(self, samples: int, now_ns: int) -> None:
        """The next `samples`, counted from the last stamped one or the break, were there by `now_ns`."""
        if self.placed:
            if self._envelope.add(self._device_ns(samples), now_ns):
                self._fit = self._envelope.fit()
            return
        self._arrivals.append((samples, now_ns))
        if samples * self._period_ns >= SETTLE_NS:
            self._place()

    def stamp(self, samples: int) -> tuple[IntArray, IntArray]:
        """Index and time of the next `samples`; the time is when each ended. `RuntimeError` when they have no place."""
        if not self.placed or self._fit is None:
            raise RuntimeError("these samples are not placed yet")
        index = np.arange(self._next, self._next + samples, dtype=np.int64)
        self._next += samples
        return index, self._steered.map((index + 1) * self._period_ns, self._fit)

    def _place(self) -> None:
        if self._fit is not None:
            lateness_ns = min(
                now_ns - self._envelope.earliest_ns(self._device_ns(samples), self._fit)
                for samples, now_ns in self._arrivals
            )
            self._next += max(self._least_lost, round(lateness_ns / self._period_ns))
        for samples, now_ns in self._arrivals:
            self._envelope.add(self._device_ns(samples), now_ns)
        self._fit = self._envelope.fit()
        self._arrivals = []
        self.placed = True

    def _device_ns(self, samples: int) -> int:
        return (self._next + samples) * self._period_ns
