"""Current out of a Monsoon's readings, by the zero and reference readings it interleaves.

Sources: AOSP/CTS tools/utils/monsoon.py for the LVPM's scales, ACTS monsoon_lib for the rolling mean of 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from power.monsoon_protocol import Kind
from power.samples import FloatArray

FINE_REFERENCE_A, COARSE_REFERENCE_A = 0.0332, 2.88
"""the currents that an LVPM's reference readings stand for"""
WINDOW = 5
"""readings averaged"""


class Window:
    """One range of one channel: its zero and its reference, each the mean of the last readings."""

    def __init__(self) -> None:
        self._zero: deque[int] = deque(maxlen=WINDOW)
        self._reference: deque[int] = deque(maxlen=WINDOW)

    def note(self, counts: Iterable[int], *, reference: bool) -> None:
        """Take in readings, oldest first."""
        (self._reference if reference else self._zero).extend(counts)

    def scale(self, reference_a: float, zero_offset: float = 0.0) -> tuple[float, float] | None:
        """A per count, and zero in counts with `zero_offset` added; None until both readings make a scale."""
        if not (self._zero and self._reference):
            return None
        zero = sum(self._zero) / len(self._zero) + zero_offset
        span = sum(self._reference) / len(self._reference) - zero
        return (reference_a / span, zero) if span else None


class Calibration:
    """Of c channels of an LVPM. A word's bit 0 tells the range (1 coarse), the rest is the count, not shifted."""

    def __init__(self, channels: int) -> None:
        self._fine = [Window() for _ in range(channels)]
        self._coarse = [Window() for _ in range(channels)]
        self._rows = np.arange(channels)
        self._scales: tuple[FloatArray, FloatArray] | None = None
        """of fine and coarse, (2, c, 1): the current of one count, and of the zero's counts"""

    @property
    def complete(self) -> bool:
        """Whether zero and reference of both ranges of every channel have been seen."""
        if self._scales is None:
            self._scales = self._worked_out()
        return self._scales is not None

    def note(self, kind: int, words: NDArray[np.int16]) -> None:
        """Take in a calibration packet's words, (n, c): fine and coarse in turn."""
        reference = kind == Kind.REFERENCE_CALIBRATION
        for fine, coarse, counts in zip(self._fine, self._coarse, (words & ~1).T.tolist(), strict=True):
            fine.note(counts[0::2], reference=reference)
            coarse.note(counts[1::2], reference=reference)
        self._scales = None

    def current_a(self, words: NDArray[np.int16]) -> FloatArray:
        """Currents (c, n) of data words (c, n), n > 0. `RuntimeError` before the calibration is complete."""
        if not self.complete or self._scales is None:
            raise RuntimeError("no current before zero and reference have been seen")
        scale_a, zero_a = self._scales
        is_coarse = words & 1
        counts = words - is_coarse
        # Readings stay in a range for long: all are taken as the first, then those of the other range set right.
        first = is_coarse[:, 0]
        current_a: FloatArray = np.multiply(counts, scale_a[first, self._rows], dtype=np.float64)
        current_a -= zero_a[first, self._rows]
        is_other = is_coarse != first[:, np.newaxis]
        if is_other.any():
            for row in np.flatnonzero(is_other.any(axis=1)):
                other = np.flatnonzero(is_other[row])
                range_ = 1 - first[row]
                current_a[row][other] = counts[row].take(other) * scale_a[range_, row] - zero_a[range_, row]
        return current_a

    def _worked_out(self) -> tuple[FloatArray, FloatArray] | None:
        scales = [
            [window.scale(reference_a) for window in windows]
            for windows, reference_a in ((self._fine, FINE_REFERENCE_A), (self._coarse, COARSE_REFERENCE_A))
        ]
        known = np.array([scale for row in scales for scale in row if scale is not None])
        if len(known) < 2 * len(self._rows):
            return None
        known = known.reshape(2, len(self._rows), 2, 1)
        return known[:, :, 0], known[:, :, 0] * known[:, :, 1]
