"""Edges of a marker line in a trace: the level of a wire from the board comes with every sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from power.samples import FloatArray, IntArray, Samples


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """The n changes of one line, oldest first, each of shape (n,)."""

    time_ns: IntArray
    """on the trace's clock: half way between the two samples that differ"""
    rises: NDArray[np.bool_]
    spread_s: FloatArray
    """standard uncertainty: the change lies anywhere between the two, evenly"""

    def nearest(self, time_ns: int, *, rises: bool) -> int | None:
        """The number of the edge of that kind nearest to a moment of the trace's clock."""
        its = np.flatnonzero(self.rises == rises)
        return int(its[np.argmin(np.abs(self.time_ns[its] - time_ns))]) if len(its) else None


def find_edges(samples: Samples, line: int) -> Edges:
    """The edges of mark line number `line` in samples of one channel, which must have a `mark` column.

    A sample shows the level at its end. Where samples were lost beside an edge it is the less certain.
    """
    if samples.mark is None:
        raise ValueError("these samples come without mark lines")
    level = (samples.mark >> line & 1).astype(np.int8)
    change = np.diff(level)
    last = np.flatnonzero(change)
    before, after = samples.time_ns[last], samples.time_ns[last + 1]
    return Edges(
        time_ns=before + (after - before) // 2,
        rises=change[last] > 0,
        spread_s=np.asarray((after - before) * (1e-9 / math.sqrt(12.0)), np.float64),
    )
