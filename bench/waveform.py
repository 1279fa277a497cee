"""A board's power as a piecewise-linear function of time, with its energy in closed form."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Segment:
    """Power that runs linearly from `first_w` to `last_w` over `length_s`."""

    length_s: float
    first_w: float
    last_w: float


class Waveform:
    """Segments one after the other from time 0, each rounded to whole nanoseconds."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        lengths_ns = np.array([round(segment.length_s * 1e9) for segment in segments], np.int64)
        self._bounds_ns = np.concatenate(([0], np.cumsum(lengths_ns)))
        self._first_w = np.array([segment.first_w for segment in segments])
        last_w = np.array([segment.last_w for segment in segments])
        self._slope_w_per_s = (last_w - self._first_w) / (lengths_ns * 1e-9)
        joules = (self._first_w + last_w) / 2 * lengths_ns * 1e-9
        self._energy_j: NDArray[np.float64] = np.concatenate(([0.0], np.cumsum(joules)))

    @property
    def end_ns(self) -> int:
        return int(self._bounds_ns[-1])

    def energy_j(self, start_ns: int, end_ns: int) -> float:
        """True energy of a window inside the waveform."""
        return self._until(end_ns) - self._until(start_ns)

    def write(self, path: Path) -> None:
        """As the supply file that the emulated meters read: records `<qdd` of time in ns, power in W, slope in W/s."""
        rows = zip(self._bounds_ns.tolist(), self._first_w.tolist(), self._slope_w_per_s.tolist(), strict=False)
        path.write_bytes(b"".join(struct.pack("<qdd", *row) for row in rows))

    def _until(self, time_ns: int) -> float:
        at = min(int(np.searchsorted(self._bounds_ns, time_ns, side="right")) - 1, len(self._first_w) - 1)
        since_s = (time_ns - int(self._bounds_ns[at])) * 1e-9
        return float(self._energy_j[at] + (self._first_w[at] + 0.5 * self._slope_w_per_s[at] * since_s) * since_s)
