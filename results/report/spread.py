"""Many points as few: what a figure of bounded size shows of a run of any length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 300
"""of a line over the run: about one in three pixels of a wide page"""
MOST_SAMPLES = 6000
"""of a power trace"""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Values over time in slots of equal length, empty ones left out; (slots,) each."""

    time_s: Floats
    """of the middle value of a slot's"""
    low: Floats
    middle: Floats
    """median"""
    high: Floats

    @property
    def merged(self) -> bool:
        """Whether some slot has more than one value."""
        return bool((self.low < self.high).any())


def spread(time_s: Floats, values: Floats, most: int = MOST_POINTS) -> Spread:
    """Of at least one value; with no more values than `most`, each stands by itself."""
    if len(values) <= most:
        return Spread(time_s, values, values, values)
    first, length = time_s[0], max(time_s[-1] - time_s[0], 1e-9)
    slots = np.minimum((time_s - first) / length * most, most - 1).astype(np.int64)
    ends = np.flatnonzero(np.diff(slots, append=-1)) + 1
    parts = list(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True))
    return Spread(
        np.array([time_s[(begin + end) // 2] for begin, end in parts]),
        np.array([values[begin:end].min() for begin, end in parts]),
        np.array([np.median(values[begin:end]) for begin, end in parts]),
        np.array([values[begin:end].max() for begin, end in parts]),
    )


def envelope(time: Floats, values: Floats, most: int = MOST_SAMPLES) -> tuple[Floats, Floats]:
    """No more than `most` points, of which none that stands out is lost: least and greatest of each stretch."""
    if len(values) <= most:
        return time, values
    length = -(-len(values) // (most // 2))
    picks: list[int] = []
    for begin in range(0, len(values), length):
        part = values[begin : begin + length]
        picks.extend(sorted({begin + int(part.argmin()), begin + int(part.argmax())}))
    return time[picks], values[picks]
