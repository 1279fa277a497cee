"""The power a virtual board draws, as a piecewise-linear waveform in an append-only file.

The board writes what it draws and is about to draw; the emulated meters follow the file; a test takes the true energy
of any window from it in closed form. A record is 24 bytes, little-endian: int64 time on the host's CLOCK_MONOTONIC in
ns, float64 power in W, float64 slope in W/s. It holds until the next one's time; of records of one time the last
counts; before the first the power is 0.
"""

from __future__ import annotations

import math
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

_RECORD = struct.Struct("<qdd")
COLUMNS = np.dtype([("time_ns", "<i8"), ("power_w", "<f8"), ("slope_w_per_s", "<f8")])
_READ_BYTES = 1 << 20
_FORGET_AT_LEAST = 1024
_EVER_NS = np.int64(-(2**62))  # a record of 0 W begins here, before any time; differences still fit int64

_Times = NDArray[np.int64]
_Values = NDArray[np.float64]


class SupplyWriter:
    """Appends to a supply file; one writer a file, any number of threads.

    `clock` gives the present on the file's axis. What lies further back than `grace_ns` may have been sampled already,
    so it cannot change any more: such a record takes effect at the present less the grace. The future may be planned.
    """

    def __init__(
        self, path: str | Path, clock: Callable[[], int] = time.monotonic_ns, grace_ns: int = 5_000_000
    ) -> None:
        self._clock = clock
        self._grace_ns = grace_ns
        self._lock = threading.Lock()
        self._last_ns: int | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._file).st_size
        if size % _RECORD.size:
            os.close(self._file)
            raise ValueError(f"{path} is not a supply file: its {size} bytes are no whole number of records")
        if size:
            self._last_ns = _RECORD.unpack(os.pread(self._file, _RECORD.size, size - _RECORD.size))[0]

    def set(self, time_ns: int, power_w: float, slope_w_per_s: float = 0.0) -> int:
        """From `time_ns` on the board draws `power_w`, which then ramps. Returns the time really recorded."""
        return self.set_many([(time_ns, power_w, slope_w_per_s)])[0]

    def set_many(self, records: Iterable[tuple[int, float, float]]) -> list[int]:
        """Append (time_ns, power_w, slope_w_per_s) records in one write; returns the times really recorded."""
        with self._lock:
            earliest_ns = self._clock() - self._grace_ns
            if self._last_ns is not None:
                earliest_ns = max(earliest_ns, self._last_ns)
            times_ns: list[int] = []
            data = bytearray()
            for time_ns, power_w, slope_w_per_s in records:
                if not (math.isfinite(power_w) and math.isfinite(slope_w_per_s)):
                    raise ValueError(f"a supply's power and slope are finite, not {power_w} W and {slope_w_per_s} W/s")
                earliest_ns = max(earliest_ns, time_ns)
                times_ns.append(earliest_ns)
                data += _RECORD.pack(earliest_ns, power_w, slope_w_per_s)
            if data and os.write(self._file, data) != len(data):
                raise OSError("the supply file takes no more: free space on its disk")
            self._last_ns = times_ns[-1] if times_ns else self._last_ns
            return times_ns

    def close(self) -> None:
        """Close the file; twice does no harm."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> SupplyWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SupplyReader:
    """Follows a supply file and integrates it exactly. Times are int64 ns on the file's axis."""

    def __init__(self, path: str | Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no supply file {path}: create its SupplyWriter first") from None
        self._tail = b""
        self._times_ns: _Times = np.array([_EVER_NS])
        self._power_w: _Values = np.zeros(1)
        self._slope_w_per_s: _Values = np.zeros(1)
        self._energy_j: _Values = np.zeros(1)
        """since the first record known, at each record's time"""
        self.refresh()

    def refresh(self) -> None:
        """Take in what was appended since the last call."""
        data = self._tail
        whole_chunk = True
        while whole_chunk:
            chunk = os.read(self._file, _READ_BYTES)
            whole_chunk = len(chunk) == _READ_BYTES
            data += chunk
        whole = len(data) - len(data) % _RECORD.size
        self._tail = data[whole:]
        if not whole:
            return
        new = np.frombuffer(data[:whole], COLUMNS)
        last = len(self._times_ns) - 1
        self._times_ns = np.concatenate([self._times_ns, new["time_ns"]])
        self._power_w = np.concatenate([self._power_w, new["power_w"]])
        self._slope_w_per_s = np.concatenate([self._slope_w_per_s, new["slope_w_per_s"]])
        seconds = np.diff(self._times_ns[last:]) * 1e-9
        steps_j = (self._power_w[last:-1] + 0.5 * self._slope_w_per_s[last:-1] * seconds) * seconds
        self._energy_j = np.concatenate([self._energy_j, self._energy_j[last] + np.cumsum(steps_j)])

    def power_w(self, times_ns: ArrayLike) -> _Values:
        """Power in W at each of `times_ns`, same shape."""
        record, seconds = self._locate(times_ns)
        return np.asarray(self._power_w[record] + self._slope_w_per_s[record] * seconds)

    def mean_power_w(self, starts_ns: ArrayLike, ends_ns: ArrayLike) -> _Values:
        """Mean power in W over each window, same shape; of an empty window, the power at its moment."""
        starts, ends = np.asarray(starts_ns, np.int64), np.asarray(ends_ns, np.int64)
        seconds = np.asarray((ends - starts) * 1e-9)
        if seconds.min(initial=np.inf) > 0:
            return np.asarray(self._energies_j(starts, ends) / seconds)
        if (seconds < 0).any():
            raise ValueError("a window ends before it starts")
        mean_w = self._energies_j(starts, ends) / np.where(seconds, seconds, 1.0)
        return np.where(seconds, mean_w, self.power_w(ends))

    def energy_j(self, start_ns: int, end_ns: int) -> float:
        """Energy in J from `start_ns` to `end_ns`."""
        return float(self._energies_j(start_ns, end_ns))

    def forget_before(self, time_ns: int) -> None:
        """Let go of what only windows that begin before `time_ns` need; asking for one is then an error."""
        record = int(self._times_ns.searchsorted(time_ns, "right")) - 1
        if record < _FORGET_AT_LEAST:
            return
        self._times_ns = self._times_ns[record:]
        self._power_w = self._power_w[record:]
        self._slope_w_per_s = self._slope_w_per_s[record:]
        self._energy_j = self._energy_j[record:] - self._energy_j[record]

    def _energies_j(self, starts_ns: ArrayLike, ends_ns: ArrayLike) -> _Values:
        record, seconds = self._locate(np.array([starts_ns, ends_ns]))
        part_j = (self._power_w[record] + 0.5 * self._slope_w_per_s[record] * seconds) * seconds
        # Of a window within one record the whole energies cancel exactly.
        before_j = self._energy_j[record]
        return np.asarray((before_j[1] - before_j[0]) + (part_j[1] - part_j[0]))

    def _locate(self, times_ns: ArrayLike) -> tuple[_Times, _Values]:
        """The record in force at each time, and the seconds since it began."""
        times = np.asarray(times_ns, np.int64)
        record = np.asarray(self._times_ns.searchsorted(times, "right") - 1)
        if record.min(initial=0) < 0:
            raise ValueError(f"the supply before {self._times_ns[0]} ns was forgotten; ask for later times")
        return record, np.asarray((times - self._times_ns[record]) * 1e-9)

    def close(self) -> None:
        """Close the file; twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> SupplyReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
