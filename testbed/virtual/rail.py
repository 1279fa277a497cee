"""The supply rail of a virtual board: what it draws, written ahead into the supply file the meters follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from testbed.virtual.supply import SupplyWriter

OPEN_NS = 4_000_000
"""How far back the rail still writes: the supply file keeps its last 5 ms open."""


class Rail:
    """A base power, and on top of it plays: the phases of an inference or of the radio. One at a time; any thread.

    A play that comes while another lasts, or too late for the supply file, begins as soon as it can, at full length: no
    energy is lost.
    """

    def __init__(self, supply: Path, base_w: float) -> None:
        self._lock = threading.Lock()
        self._base_w = base_w
        self._extra_j = 0.0
        self._writer = SupplyWriter(supply)
        self._free_ns = self._writer.set(time.monotonic_ns(), base_w)

    @property
    def extra_j(self) -> float:
        """Energy of all plays so far, above the base."""
        return self._extra_j

    def set_base(self, power_w: float) -> None:
        """Draw this much from now on, or from the end of the present play."""
        with self._lock:
            if power_w != self._base_w:
                self._base_w = power_w
                self._free_ns = self._writer.set(max(self._free_ns, time.monotonic_ns()), power_w)

    def play(self, start_ns: int, phases: Iterable[tuple[float, float]]) -> tuple[int, int]:
        """Draw (duration in s, power in W above the base) one after the other from `start_ns` of CLOCK_MONOTONIC.

        Returns when it really starts and ends.
        """
        with self._lock:
            start_ns = time_ns = max(start_ns, self._free_ns, time.monotonic_ns() - OPEN_NS)
            records = []
            elapsed_s = 0.0
            for duration_s, extra_w in phases:
                records.append((time_ns, self._base_w + extra_w, 0.0))
                elapsed_s += duration_s
                self._extra_j += duration_s * extra_w
                time_ns = start_ns + round(elapsed_s * 1e9)
            records.append((time_ns, self._base_w, 0.0))
            self._free_ns = self._writer.set_many(records)[-1]
            return start_ns, time_ns

    def close(self) -> None:
        """Close the supply file; what it plans still happens."""
        self._writer.close()

    def __enter__(self) -> Rail:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
