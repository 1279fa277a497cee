"""The clock of a real board."""

from __future__ import annotations

import time

SPIN_NS = 150_000
"""the last stretch of a wait is spun: a sleep of the standard library overshoots by about 60 us on Linux"""


class MonotonicClock:
    """CLOCK_MONOTONIC of the machine the agent runs on."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until(self, time_ns: int) -> None:
        left_ns = time_ns - time.monotonic_ns()
        if left_ns > SPIN_NS:
            time.sleep((left_ns - SPIN_NS) * 1e-9)
        while time.monotonic_ns() < time_ns:
            pass
