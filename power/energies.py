"""Joules of many windows of one trace at once, as the analysis of a recorded trace with its marks asks for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from power.energy import cut
from power.errors import TraceIncomplete, WindowTooShort
from power.monitor import MonitorSpec
from power.samples import FloatArray, IntArray, Samples

_BESIDE = 2
"""samples that have to be there on either side of a window that is summed up directly"""


def cut_many(
    samples: Samples, starts_ns: ArrayLike, ends_ns: ArrayLike, spec: MonitorSpec, *, channel: int | None = None
) -> FloatArray:
    """Energies in J between moments of the controller's clock, each of shape (m,); in any order, overlapping or not.

    The joules that `cut` gives for the same window without guards, NaN where it refuses: a window too short, a trace
    that does not cover it or lost too much. They come without an uncertainty, a baseline or a peak: for a figure to be
    reported, `cut` the window. Windows that lost samples cost as much as `cut`; the others about 5 us each.
    """
    starts, ends = (np.atleast_1d(np.asarray(times_ns, np.int64)) for times_ns in (starts_ns, ends_ns))
    trace = samples.sum_of(spec.total) if channel is None else samples.of_channel(channel)
    energy_j = np.full(len(starts), np.nan)
    long_enough = ends - starts >= spec.shortest_window_s * 1e9 * (1 - 1e-9)
    # A cell's middle lies half an aperture before its sample's time.
    begin_ns, end_ns = (times_ns.astype(np.float64) + spec.aperture_s / 2 * 1e9 for times_ns in (starts, ends))
    first, last = _cell(trace.time_ns, begin_ns), _cell(trace.time_ns, end_ns)
    low, high = first - _BESIDE, last + _BESIDE
    inside = (low >= 0) & (high < len(trace)) & long_enough
    whole = np.flatnonzero(inside)
    whole = whole[trace.index[high[whole]] - trace.index[low[whole]] == high[whole] - low[whole]]
    energy_j[whole] = _summed(trace, begin_ns[whole], end_ns[whole], first[whole], last[whole])
    for at in np.flatnonzero(np.isnan(energy_j) & long_enough).tolist():
        try:
            energy_j[at] = cut(samples, int(starts[at]), int(ends[at]), spec, channel=channel).energy_j
        except (TraceIncomplete, WindowTooShort):
            continue
    return energy_j


def _cell(time_ns: IntArray, at_ns: FloatArray) -> IntArray:
    """The sample in whose cell each moment lies: the one whose `time_ns` is nearest."""
    if len(time_ns) < 2:
        return np.zeros(len(at_ns), np.int64)
    after = np.clip(np.searchsorted(time_ns, at_ns), 1, len(time_ns) - 1)
    middle_ns = (time_ns[after - 1] + time_ns[after]) / 2
    return np.asarray(after - (at_ns < middle_ns))


def _summed(trace: Samples, begin_ns: FloatArray, end_ns: FloatArray, first: IntArray, last: IntArray) -> FloatArray:
    """Power times the length of each cell, less what of the outer cells lies outside."""
    time_ns, power_w = trace.time_ns, trace.power_w
    # Twice the energy in nW s, as cells reach half way to their neighbours.
    twice = np.empty(len(first))
    for at, (begin, end) in enumerate(zip(first.tolist(), (last + 1).tolist(), strict=True)):
        twice[at] = np.dot(power_w[begin:end], time_ns[begin + 1 : end + 1] - time_ns[begin - 1 : end - 1])
    before_ns = begin_ns - (time_ns[first - 1] + time_ns[first]) / 2
    after_ns = (time_ns[last] + time_ns[last + 1]) / 2 - end_ns
    return np.asarray((twice / 2 - power_w[first] * before_ns - power_w[last] * after_ns) * 1e-9)
