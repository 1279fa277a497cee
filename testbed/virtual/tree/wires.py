"""What board and tree tell each other: numbers in a file that both map. Neither ever waits for the other."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from types import TracebackType

SLOTS = (
    "temperature_c",
    "throttled",
    "cpu_busy_until_s",
    "gpu_busy_until_s",
    "cpu_hz",
    "gpu_hz",
    "dla0_hz",
    "dla1_hz",
    "emc_hz",
    "cores_on",
)
"""the board tells the first four, the moments on the host's CLOCK_MONOTONIC; the tree tells the others: what the clocks
are under load while nothing throttles"""
_BYTES = 8


class Wires:
    """One number a slot, 0 until it is told; a number is written whole."""

    def __init__(self, path: Path) -> None:
        size = _BYTES * len(SLOTS)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self._values = memoryview(self._map).cast("d")

    def __getitem__(self, slot: str) -> float:
        return self._values[SLOTS.index(slot)]

    def __setitem__(self, slot: str, value: float) -> None:
        self._values[SLOTS.index(slot)] = value

    def close(self) -> None:
        """Let the file go."""
        self._values.release()
        self._map.close()

    def __enter__(self) -> Wires:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
