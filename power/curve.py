"""Cumulative energy of a trace around a window, and how far each cause may have put it wrong.

Every sample stands for a cell of time. The cell of one that averaged, or looked once, reaches half way to its
neighbours' apertures, so a lost sample is bridged by its neighbours. That of a counter's difference is the time since
the sample before, so one that is lost takes no energy along. Times are seconds from the window's start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from power.errors import TraceIncomplete
from power.monitor import Kind, MonitorSpec
from power.samples import FloatArray, IntArray, Samples

REACH = 3.0
"""how many standard uncertainties of the clock count"""
# An even grid: a load's edge may lie anywhere, and Gauss's few nodes would step over it.
_NODES = np.linspace(-REACH, REACH, 49)
_WEIGHTS = np.exp(-(_NODES**2) / 2)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_FOURTH = float(_WEIGHTS @ _NODES**4)
"""mean fourth power of the nodes"""


@dataclass(frozen=True, slots=True)
class Curve:
    """n samples and the n + 1 bounds of their cells."""

    index: IntArray
    power_w: FloatArray
    opens_s: FloatArray
    """where each sample's aperture begins"""
    closes_s: FloatArray
    """and ends"""
    bounds_s: FloatArray
    energy_j: FloatArray
    """from the first bound to each bound"""

    @staticmethod
    def around(samples: Samples, start_ns: int, spec: MonitorSpec, start_s: float, end_s: float) -> Curve:
        """The curve over [start_s, end_s] after `start_ns`. Raises `TraceIncomplete` where the trace has a lack."""
        margin_s = 2.0 * spec.period_s
        from_ns, to_ns = start_ns + round((start_s - margin_s) * 1e9), start_ns + round((end_s + margin_s) * 1e9)
        if spec.kind is Kind.COUNTING:
            from_ns, to_ns = _enclosed(samples, from_ns, to_ns)
        near = samples.between(from_ns, to_ns)
        if len(near) < 2:
            raise TraceIncomplete(f"{spec.name}: the trace has no samples around the window")
        curve = (_counted if spec.kind is Kind.COUNTING else _averaged)(near, start_ns, spec)
        covered_s = curve.bounds_s
        if covered_s[0] > start_s or covered_s[-1] < end_s:
            raise TraceIncomplete(
                f"{spec.name}: the trace covers {covered_s[0]:.6f} s to {covered_s[-1]:.6f} s from the window's start, "
                f"{start_s:.6f} s to {end_s:.6f} s are needed; record longer on both sides"
            )
        return curve

    @property
    def middle_s(self) -> FloatArray:
        """The middle of each sample's aperture."""
        return (self.opens_s + self.closes_s) / 2

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
        arrived = len(self.power_w[self.within(start_s, end_s)])
        lost = np.diff(self.index) - 1
        from_s, to_s = self.closes_s[:-1], self.opens_s[1:]
        to_s = np.where(to_s > from_s, to_s, self.closes_s[1:])  # of a counter, the sample that spans them
        share = (np.minimum(to_s, end_s) - np.maximum(from_s, start_s)) / (to_s - from_s)
        return arrived / (arrived + float(np.sum(lost * share.clip(0.0, 1.0))))

    def longest_gap_s(self, start_s: float, end_s: float) -> float:
        """The longest stretch of the window between apertures with a sample lost in it; 0 without one."""
        _, gap_s = self._holes(start_s, end_s)
        return float(gap_s.max(initial=0.0))

    def missing(self, start_s: float, end_s: float) -> float:
        """What the bridges over lost samples may hide: in a gap the power may have been anything the window shows."""
        step_w, gap_s = self._holes(start_s, end_s)
        spread_w = float(np.std(self.power_w[self.within(start_s, end_s)]))
        hidden_w = np.maximum(np.abs(step_w) / math.sqrt(12.0), spread_w)
        return float(np.linalg.norm(hidden_w * gap_s))

    def sampling(self, start_s: float, end_s: float) -> float:
        """What the meter does not see between apertures: a step there lies anywhere in it, evenly."""
        step_w, gap_s, lost = self._pairs(start_s, end_s)
        return float(np.linalg.norm((step_w * gap_s)[~lost])) / math.sqrt(12.0)

    def edge(self, at_s: float) -> float:
        """What cutting the trace at a moment costs: a step of the load near it lies anywhere, evenly.

        A step D anywhere in an aperture of length a, whose mean is known, makes an error of a D f (1 - f) / sqrt(3)
        when the cut is at its fraction f. Between two apertures, a time g apart, the side that the window does not
        count as `sampling` makes g D sqrt(e^3 / 3), where e <= 1/2 is the fraction from the cut to the nearer one.
        """
        after = min(int(np.searchsorted(self.closes_s, at_s)), len(self.power_w) - 1)
        before, beyond = max(after - 1, 0), min(after + 1, len(self.power_w) - 1)
        opens_s, closes_s = float(self.opens_s[after]), float(self.closes_s[after])
        if opens_s <= at_s < closes_s:
            fraction = (at_s - opens_s) / (closes_s - opens_s)
            step_w = float(np.ptp(self.power_w[before : beyond + 1]))
            return (closes_s - opens_s) * step_w * fraction * (1.0 - fraction) / math.sqrt(3.0)
        gap_s = opens_s - float(self.closes_s[before])
        if gap_s <= 0.0:
            return 0.0
        fraction = min(max((opens_s - at_s) / gap_s, 0.0), 1.0)
        step_w = abs(float(self.power_w[after] - self.power_w[before]))
        return gap_s * step_w * math.sqrt(min(fraction, 1.0 - fraction) ** 3 / 3.0)

    def clock(self, start_s: float, end_s: float, uncertainty_s: float) -> float:
        """Change of the energy when the whole window shifts by a normal error of the clock.

        By the fourth moment: the standard deviation where the energy changes evenly with the shift; more where only a
        larger shift brings an edge of the load in. Such a change is rare and then large, and by its mean square alone
        it would come as one of many standard uncertainties.
        """
        shift_s = _NODES * uncertainty_s
        change_j = self.joules(start_s + shift_s, end_s + shift_s) - self.joules(start_s, end_s)
        return math.sqrt(math.sqrt(float(_WEIGHTS @ change_j**4) / _FOURTH))

    def quantisation(self, start_s: float, end_s: float, lsb_w: float) -> float:
        """Readings of the same step share one rounding error, those of different steps have independent ones."""
        inside = self.within(start_s, end_s)
        _, step = np.unique(np.rint(self.power_w[inside] / lsb_w), return_inverse=True)
        duration_s = np.bincount(step, weights=np.diff(self.bounds_s)[inside])
        return float(np.linalg.norm(duration_s)) * lsb_w / math.sqrt(12.0)

    def _holes(self, start_s: float, end_s: float) -> tuple[FloatArray, FloatArray]:
        """Of the gaps with lost samples that reach into the window: the step in W across, their time inside in s."""
        inside_s = np.minimum(self.opens_s[1:], end_s) - np.maximum(self.closes_s[:-1], start_s)
        holes = (np.diff(self.index) > 1) & (inside_s > 0.0)
        return np.diff(self.power_w)[holes], inside_s[holes]

    def _pairs(self, start_s: float, end_s: float) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Of neighbours in the window: the step in W, the time between their apertures in s, whether one was lost."""
        inside = self.within(start_s, end_s)
        pair = slice(inside.start, inside.stop - 1)
        step_w = np.diff(self.power_w)[pair]
        gap_s = np.maximum(self.opens_s[1:] - self.closes_s[:-1], 0.0)[pair]
        return step_w, gap_s, np.diff(self.index)[pair] > 1


def _averaged(near: Samples, start_ns: int, spec: MonitorSpec) -> Curve:
    """Cells reach half way to the neighbours' apertures; those at the ends, half a period out."""
    closes_s = np.asarray((near.time_ns - start_ns) * 1e-9, np.float64)
    middle_s = closes_s - spec.aperture_s / 2
    half_s = spec.period_s / 2
    bounds_s = np.concatenate(([middle_s[0] - half_s], (middle_s[1:] + middle_s[:-1]) / 2, [middle_s[-1] + half_s]))
    return _curve(near, closes_s - spec.aperture_s, closes_s, bounds_s)


def _counted(near: Samples, start_ns: int, spec: MonitorSpec) -> Curve:
    """Cells are (the sample before, this one]; the first sample only opens the second's."""
    bounds_s = np.asarray((near.time_ns - start_ns) * 1e-9, np.float64)
    return _curve(near.take(slice(1, None)), bounds_s[:-1], bounds_s[1:], bounds_s)


def _curve(samples: Samples, opens_s: FloatArray, closes_s: FloatArray, bounds_s: FloatArray) -> Curve:
    energy_j = np.concatenate(([0.0], np.cumsum(samples.power_w * np.diff(bounds_s))))
    return Curve(samples.index, samples.power_w, opens_s, closes_s, bounds_s, energy_j)


def _enclosed(samples: Samples, from_ns: int, to_ns: int) -> tuple[int, int]:
    """The span widened to two samples outside it on either side, for a count may reach far over lost ones."""
    times_ns = samples.time_ns
    if not len(times_ns):
        return from_ns, to_ns
    before, beyond = np.searchsorted(times_ns, [from_ns, to_ns])
    first_ns, last_ns = times_ns[max(before - 2, 0)], times_ns[min(beyond + 1, len(times_ns) - 1)]
    return min(int(first_ns) - 1, from_ns), max(int(last_ns), to_ns)
