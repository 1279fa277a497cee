"""Places counted samples in time when the device sends neither a count nor a clock: only arrivals tell."""

from __future__ import annotations

import numpy as np

from power.clock import ClockFit, LowerEnvelope, SteeredClock
from power.samples import IntArray

SETTLE_NS = 250_000_000
"""after the start, or after a loss, so long a run of samples waits until its earliest arrival tells where it belongs"""
DOUBT_NS = 1_000_000_000
"""an arrival in time clears a doubt; without one for so long, samples were lost"""


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
        self._doubt: tuple[int, float] | None = None
        """(samples before it, the least that was lost if any was), of a run that may have a break"""
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
        self._least_lost, self._doubt = least_lost, None
        self._arrivals = []

    def doubted(self, samples: int, least_if_any: float) -> bool:
        """Behind the next `samples` some may have been lost: none, or at least so many.

        The run then waits until arrivals tell. False when it had no place anyway: count it as lost.
        """
        if not self.placed and self._doubt is None:
            return False
        self.placed = False
        self._least_lost, self._doubt = 0, (samples, least_if_any)
        self._arrivals = []
        return True

    def arrived(self, samples: int, now_ns: int) -> int:
        """The next `samples`, counted from the last stamped one or the break, were there by `now_ns`.

        Returns how many of them, from the first, have lost their place.
        """
        if self.placed:
            if self._envelope.add(self._device_ns(samples), now_ns):
                self._fit = self._envelope.fit()
            return 0
        self._arrivals.append((samples, now_ns))
        if self._doubt is None:
            if samples * self._period_ns < SETTLE_NS:
                return 0
            return self._place(max(self._least_lost, self._lost()) if self._fit is not None else 0)
        before, least_if_any = self._doubt
        lost = self._lost()
        if lost <= least_if_any / 2:  # one arrival in time tells that none was
            return self._place(0)
        # Where within the run they were lost nobody knows, but it was not behind the latest doubt.
        return self._place(lost, before) if (samples - before) * self._period_ns >= DOUBT_NS else 0

    def stamp(self, samples: int) -> tuple[IntArray, IntArray]:
        """Index and time of the next `samples`; the time is when each ended. `RuntimeError` when they have no place."""
        if not self.placed or self._fit is None:
            raise RuntimeError("these samples are not placed yet")
        index = np.arange(self._next, self._next + samples, dtype=np.int64)
        self._next += samples
        return index, self._steered.map((index + 1) * self._period_ns, self._fit)

    def _place(self, lost: int, unplaced: int = 0) -> int:
        self._next += unplaced + lost
        for samples, now_ns in self._arrivals:
            self._envelope.add(self._device_ns(samples - unplaced), now_ns)
        self._fit = self._envelope.fit()
        self._arrivals, self._doubt = [], None
        self.placed = True
        return unplaced

    def _lost(self) -> int:
        """How many samples the earliest arrival is late."""
        if (fit := self._fit) is None:
            return 0
        lateness_ns = min(
            now_ns - self._envelope.earliest_ns(self._device_ns(samples), fit) for samples, now_ns in self._arrivals
        )
        return round(lateness_ns / self._period_ns)

    def _device_ns(self, samples: int) -> int:
        return (self._next + samples) * self._period_ns
