"""The marker wire of a virtual board: its level over time, in a file beside the supply file that the meters follow."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from testbed.virtual.supply import COLUMNS, SupplyWriter


def wire_of(supply: str | Path) -> Path:
    """Where the level stands: a file like the supply's own, whose power is 1 while the wire is high."""
    return Path(f"{supply}.marker")


class MarkerWire:
    """The board's end. Implements `Marker`; a context manager."""

    def __init__(self, supply: Path) -> None:
        self._writer = SupplyWriter(wire_of(supply))
        self.set(high=False)

    def set(self, *, high: bool) -> None:
        """From now on."""
        self._writer.set(time.monotonic_ns(), float(high))

    def __enter__(self) -> MarkerWire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


class MarkerInput:
    """The meter's end. It is low where no wire is, and holds no file open."""

    def __init__(self, supply: str | Path) -> None:
        self._wire = wire_of(supply)
        self._taken = 0
        self._times_ns = np.array([_EVER_NS])
        self._level = np.zeros(1, np.int32)

    def refresh(self) -> None:
        """Take in what the board did since the last call."""
        if not self._wire.exists():
            return
        with self._wire.open("rb") as file:
            file.seek(self._taken)
            data = file.read()
        new = np.frombuffer(data[: len(data) - len(data) % COLUMNS.itemsize], COLUMNS)
        self._taken += new.nbytes
        if len(new):
            self._times_ns = np.concatenate([self._times_ns, new["time_ns"]])
            self._level = np.concatenate([self._level, (new["power_w"] > 0.5).astype(np.int32)])

    def levels(self, times_ns: NDArray[np.int64]) -> NDArray[np.int32]:
        """0 or 1 at each moment, same shape."""
        return np.asarray(self._level[self._times_ns.searchsorted(times_ns, "right") - 1])


_EVER_NS = np.int64(-(2**62))
"""low since before any time"""
