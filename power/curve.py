"""Cumulative energy of a trace around a window, and how far each cause may have put it wrong.

Every sample stands for a cell of time that reaches half way to its neighbours' apertures, so a lost sample is bridged
by its neighbours. Times are seconds from the window's start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from power.errors import TraceIncomplete
from power.monitor import MonitorSpec
from power.samples import FloatArray, IntArray, Samples

REACH = 3.0
"""how many standard uncertainties of the clock count"""
# An even grid: a load's edge may lie anywhere, and Gauss's few nodes would step over it.
_NODES = np.linspace(-REACH, REACH, 49)
_WEIGHTS = np.exp(-(_NODES**2) / 2)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class Curve:
    """n samples and the n + 1 bounds of their cells."""

    index: IntArray
    power_w: FloatArray
    middle_s: FloatArray
    """middle of each sample's aperture"""
    bounds_s: FloatArray
    energy_j: FloatArray
    """from the first bound to each bound"""
    aperture_s: float

    @staticmethod
    def around(samples: Samples, start_ns: int, spec: MonitorSpec, start_s: float, end_s: float) -> Curve:
        """The curve over [start_s, end_s] after `start_ns`. Raises `TraceIncomplete` where the trace has a lack."""
        margin_s = 2.0 * spec.period_s
        near = samples.between(start_ns + round((start_s - margin_s) * 1e9), start_ns + round((end_s + margin_s) * 1e9))
        if len(near) < 2:
            raise TraceIncomplete(f"{spec.name}: the trace has no samples around the window")
        middle_s = (near.time_ns - start_ns) * 1e-9 - spec.aperture_s / 2
        half_s = spec.period_s / 2
        bounds_s = np.concatenate(([middle_s[0] - half_s], (middle_s[1:] + middle_s[:-1]) / 2, [middle_s[-1] + half_s]))
        energy_j = np.concatenate(([0.0], np.cumsum(near.power_w * np.diff(bounds_s))))
        if bounds_s[0] > start_s or bounds_s[-1] < end_s:
            raise TraceIncomplete(
                f"{spec.name}: the trace covers {bounds_s[0]:.6f} s to {bounds_s[-1]:.6f} s from the window's start, "
                f"{start_s:.6f} s to {end_s:.6f} s are needed; record longer on both sides"
            )
        return Curve(near.index, near.power_w, np.asarray(middle_s, np.float64), bounds_s, energy_j, spec.aperture_s)

    def joules(self, start_s: float | FloatArray, end_s: float | FloatArray) -> FloatArray:
        """Energy from start to end, same shape; within a cell the power counts as constant."""
        return np.asarray(
            np.interp(end_s, self.bounds_s, self.energy_j) - np.interp(start_s, self.bounds_s, self.energy_j)
        )

    def within(self, start_s: float, end_s: float) -> slice:
        """The samples whose cells touch [start_s, end_s]."""
        first = int(np.searchsorted(self.bounds_s, start_s, side="right")) - 1
        last = int(np.searchsorted(self.bounds_s, end_s, side="left"))
        return slice(max(first, 0), min(last, len(self.power_w)))

    def present(self, start_s: float, end_s: float) -> float:
        """Fraction of the window's samples that arrived."""
        counted = self.index[self.within(start_s, end_s)]
        return len(counted) / int(counted[-1] - counted[0] + 1)

    def longest_gap_s(self, start_s: float, end_s: float) -> float:
        """The longest stretch between apertures with a sample lost in it; 0 without one."""
        _, gap_s, lost = self._pairs(start_s, end_s)
        return float(np.max(gap_s, where=lost, initial=0.0))

    def missing(self, start_s: float, end_s: float) -> float:
        """What the bridges over lost samples may hide: in a gap the power may have been anything the window shows."""
        step_w, gap_s, lost = self._pairs(start_s, end_s)
        spread_w = float(np.std(self.power_w[self.within(start_s, end_s)]))
        hidden_w = np.maximum(np.abs(step_w[lost]) / math.sqrt(12.0), spread_w)
        return float(np.linalg.norm(hidden_w * gap_s[lost]))

    def sampling(self, start_s: float, end_s: float) -> float:
        """What the meter does not see between apertures: a step there lies anywhere in it, evenly."""
        step_w, gap_s, lost = self._pairs(start_s, end_s)
        return float(np.linalg.norm((step_w * gap_s)[~lost])) / math.sqrt(12.0)

    def edge(self, at_s: float) -> float:
        """What cutting through a cell costs: the load's step between the cell's neighbours lies anywhere in it, evenly.

        A step D at a fraction g of a cell T that is cut at the fraction f makes an error whose root mean square over g
        is T |D| f (1 - f) / sqrt(3).
        """
        cell = self.within(at_s, at_s).start
        cell = min(cell, len(self.power_w) - 1)
        length_s = float(self.bounds_s[cell + 1] - self.bounds_s[cell])
        fraction = (at_s - float(self.bounds_s[cell])) / length_s
        step_w = float(self.power_w[min(cell + 1, len(self.power_w) - 1)] - self.power_w[max(cell - 1, 0)])
        return length_s * abs(step_w) * fraction * (1.0 - fraction) / math.sqrt(3.0)

    def clock(self, start_s: float, end_s: float, uncertainty_s: float) -> float:
        """Root mean square change of the energy when the whole window shifts by a normal error of the clock."""
        shift_s = _NODES * uncertainty_s
        change_j = self.joules(start_s + shift_s, end_s + shift_s) - self.joules(start_s, end_s)
        return math.sqrt(float(np.sum(_WEIGHTS * change_j**2)))

    def quantisation(self, start_s: float, end_s: float, lsb_w: float) -> float:
        """Readings of the same step share one rounding error, those of different steps have independent ones."""
        inside = self.within(start_s, end_s)
        _, step = np.unique(np.rint(self.power_w[inside] / lsb_w), return_inverse=True)
        duration_s = np.bincount(step, weights=np.diff(self.bounds_s)[inside])
        return float(np.linalg.norm(duration_s)) * lsb_w / math.sqrt(12.0)

    def _pairs(self, start_s: float, end_s: float) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Of neighbours in the window: the step in W, the time between their apertures in s, whether one was lost."""
        inside = self.within(start_s, end_s)
        pair = slice(inside.start, inside.stop - 1)
        step_w = np.diff(self.power_w)[pair]
        gap_s = np.maximum(np.diff(self.middle_s)[pair] - self.aperture_s, 0.0)
        return step_w, gap_s, np.diff(self.index)[pair] > 1
