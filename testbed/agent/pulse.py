"""The sync pulse on a real board: one core busy and idle in turn, as a code says."""

from __future__ import annotations

import time
from collections.abc import Sequence

from testbed.agent.contract import Clock


def burn(clock: Clock, code: Sequence[int], chip_s: float) -> int:
    """Load one core chip by chip (1 busy, 0 idle); returns when that began, on the clock.

    An idle chip ends by a sleep, which wakes late (about 60 us on Linux). Every second edge is then late, so the burst
    as a whole by half of that; the time returned has it added.
    """
    begun_ns = clock.now_ns()
    late_ns: list[int] = []
    was_busy = True
    for number, busy in enumerate(code, start=1):
        if busy and not was_busy:
            late_ns.append(clock.now_ns() - begun_ns - round((number - 1) * chip_s * 1e9))
        until_ns = begun_ns + round(number * chip_s * 1e9)
        if busy:
            while clock.now_ns() < until_ns:
                pass
        else:
            time.sleep(max(0, until_ns - clock.now_ns()) * 1e-9)
        was_busy = bool(busy)
    return begun_ns + sum(late_ns) // (2 * len(late_ns)) if late_ns else begun_ns
