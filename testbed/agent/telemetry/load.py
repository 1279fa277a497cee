"""CPU time and memory that others than this process use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from testbed.agent.telemetry.files import OpenFile

_SHORTEST_LOOK_S = 0.05
"""below a few ticks of 10 ms a share of CPU time says nothing; the last one stands"""


class OthersCpu:
    """CPU time of everything but this process and the programs it ran, between one reading and the next.

    `co_runners_s` tells the CPU time of children that are no part of it: those that interfere, and have ended.
    """

    def __init__(self, proc: Path, co_runners_s: Callable[[], float]) -> None:
        self._stat = OpenFile(proc / "stat")
        self._co_runners_s = co_runners_s
        self._last = self._read()
        self._share = 0.0

    def share(self) -> float:
        """0..1 of all cores that are on."""
        now = self._read()
        total_s, idle_s, own_s = (after - before for after, before in zip(now, self._last, strict=True))
        if total_s >= _SHORTEST_LOOK_S:
            self._last = now
            self._share = min(1.0, max(0.0, (total_s - idle_s - own_s) / total_s))
        return self._share

    def close(self) -> None:
        """Close the file."""
        self._stat.close()

    def _read(self) -> tuple[float, float, float]:
        fields = self._stat.read().partition(b"\n")[0].split()[1:]
        ticks = [int(field) for field in fields[:8]]
        idle = sum(ticks[3:5])
        own = os.times()
        own_s = own.user + own.system + own.children_user + own.children_system - self._co_runners_s()
        per_s = os.sysconf("SC_CLK_TCK")
        return sum(ticks) / per_s, idle / per_s, own_s


class OthersMemory:
    """Memory that is not to be had, less what this process holds."""

    def __init__(self, proc: Path) -> None:
        self._meminfo, self._own = OpenFile(proc / "meminfo"), OpenFile(proc / "self/statm")

    def share(self) -> float:
        """0..1 of all there is; 0 where the kernel does not tell."""
        found = {}
        for line in self._meminfo.read().splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] in (b"MemTotal:", b"MemAvailable:") and words[1].isdigit():
                found[words[0]] = int(words[1]) * 1024
        total = found.get(b"MemTotal:", 0)
        if not total:
            return 0.0
        resident = self._own.read().split()[1:2]
        own = int(resident[0]) * os.sysconf("SC_PAGE_SIZE") if resident else 0
        return min(1.0, max(0.0, (total - found.get(b"MemAvailable:", total) - own) / total))

    def close(self) -> None:
        """Close the files."""
        self._meminfo.close()
        self._own.close()
