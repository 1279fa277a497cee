"""The clock of a virtual board: its own origin and rate, read off the host's CLOCK_MONOTONIC."""

from __future__ import annotations

import time
from collections.abc import Callable

SPIN_NS = 150_000
"""the last stretch of a wait is spun: a sleep overshoots by about 60 us on Linux, a spin by about 1 us"""


class VirtualClock:
    """A clock that started `offset_s` away from the host's and gains `drift_ppm` on it."""

    def __init__(self, offset_s: float = 0.0, drift_ppm: float = 0.0) -> None:
        self._origin_ns = time.monotonic_ns()
        self._offset_ns = round(offset_s * 1e9)
        self._drift = drift_ppm * 1e-6

    def now_ns(self) -> int:
        return self.from_host_ns(time.monotonic_ns())

    def from_host_ns(self, host_ns: int) -> int:
        """This clock's reading at a moment of the host's CLOCK_MONOTONIC."""
        return host_ns + self._offset_ns + round((host_ns - self._origin_ns) * self._drift)

    def to_host_ns(self, time_ns: int) -> int:
        """The host's CLOCK_MONOTONIC at a reading of this clock, within 1 ns."""
        since_ns = time_ns - self._offset_ns - self._origin_ns
        return self._origin_ns + since_ns - round(since_ns * (self._drift / (1.0 + self._drift)))

    def sleep_until(self, time_ns: int) -> None:
        deadline_ns = self.to_host_ns(time_ns)
        left_ns = deadline_ns - time.monotonic_ns()
        if left_ns > SPIN_NS:
            time.sleep((left_ns - SPIN_NS) * 1e-9)
        while time.monotonic_ns() < deadline_ns:
            pass


class LivingClock:
    """The same clock for those who wait on it: meanwhile the board lives on, cools down and leaks less."""

    def __init__(self, clock: VirtualClock, live: Callable[[], None], step_s: float) -> None:
        """`live` is called every `step_s` of a wait."""
        self._clock = clock
        self._live = live
        self._step_ns = round(step_s * 1e9)

    def now_ns(self) -> int:
        """As the clock tells it."""
        return self._clock.now_ns()

    def sleep_until(self, time_ns: int) -> None:
        """Returns at once when the time has passed."""
        while time_ns - (now_ns := self._clock.now_ns()) > self._step_ns:
            self._clock.sleep_until(now_ns + self._step_ns)
            self._live()
        self._clock.sleep_until(time_ns)
