"""Current out of an LVPM channel's words, by the zero and reference readings it interleaves.

Source of the scales: AOSP/CTS tools/utils/monsoon.py; of the rolling mean of 5: ACTS monsoon_lib lvpm_stock.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from power.monsoon_protocol import Kind
from power.samples import FloatArray

FINE_REFERENCE_A, COARSE_REFERENCE_A = 0.0332, 2.88
"""the currents that the reference readings stand for"""
WINDOW = 5
"""readings averaged"""


class _Range:
    """One range's zero and reference, each the mean of the last readings."""

    def __init__(self, reference_a: float) -> None:
        self._reference_a = reference_a
        self._readings: dict[int, deque[int]] = {
            Kind.ZERO_CALIBRATION: deque(maxlen=WINDOW),
            Kind.REFERENCE_CALIBRATION: deque(maxlen=WINDOW),
        }

    def note(self, kind: int, counts: NDArray[np.int16]) -> None:
        self._readings[kind].extend(counts.tolist())

    def scale(self) -> tuple[float, float] | None:
        """Zero in counts and A per count; None until both readings make one."""
        zero, reference = (float(np.mean(readings)) if readings else None for readings in self._readings.values())
        if zero is None or reference is None or reference == zero:
            return None
        return zero, self._reference_a / (reference - zero)


class Calibration:
    """Of one channel. A word's bit 0 tells the range (1 coarse), the rest is the count, not shifted."""

    def __init__(self) -> None:
        self._fine, self._coarse = _Range(FINE_REFERENCE_A), _Range(COARSE_REFERENCE_A)
        self._scales: tuple[tuple[float, float], tuple[float, float]] | None = None

    @property
    def complete(self) -> bool:
        """Whether zero and reference of both ranges have been seen."""
        return self._scales is not None

    def note(self, kind: int, words: NDArray[np.int16]) -> None:
        """Take in a calibration packet's words of this channel: fine and coarse in turn."""
        counts = words & ~1
        self._fine.note(kind, counts[0::2])
        self._coarse.note(kind, counts[1::2])
        fine, coarse = self._fine.scale(), self._coarse.scale()
        if fine is not None and coarse is not None:
            self._scales = fine, coarse

    def current_a(self, words: NDArray[np.int16]) -> FloatArray:
        """Currents of data words, same shape. `RuntimeError` before the calibration is complete."""
        if self._scales is None:
            raise RuntimeError("no current before zero and reference have been seen")
        (fine_zero, fine_scale), (coarse_zero, coarse_scale) = self._scales
        is_coarse = (words & 1).astype(bool)
        counts = (words & ~1).astype(np.float64)
        return np.where(is_coarse, (counts - coarse_zero) * coarse_scale, (counts - fine_zero) * fine_scale)
