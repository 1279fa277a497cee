"""A coded burst of load, found in a trace by correlation: it tells where the board's clock lies on the trace's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from power.errors import PulseLost, TraceIncomplete
from power.monitor import MonitorSpec
from power.samples import FloatArray, Samples

LEAST_CORRELATION = 0.5
"""of trace and burst; the code's own side lobes stay below 0.2"""
RISES_S = (0.0, *(50e-6 * 2.0 ** (step / 2) for step in range(11)))
"""time constants tried of the load's rise and fall, to 1.6 ms: decoupling capacitors and the regulator's loop"""
RISE_SHARE = 0.2
"""how far a rise of another shape than the exponential one may move the burst, as a fraction of its time constant; an
assumption"""
FINE_STEPS = 20
"""of a sample period, in the second search"""
GRID_PER_CHIP = 64


def maximal_code() -> tuple[int, ...]:
    """63 chips of 1 (busy) and 0: the maximal-length sequence of x^6 + x + 1.

    Shifted against itself it correlates by -1/63, so a burst has one peak. It begins and ends busy.
    """
    state, chips = 0b111111, []
    for _ in range(63):
        chips.append(state & 1)
        state = state >> 1 | ((state ^ state >> 1) & 1) << 5
    while not (chips[0] and chips[-1]):
        chips.append(chips.pop(0))
    return tuple(chips)


@dataclass(frozen=True, slots=True)
class Pulse:
    """A burst as it was found."""

    start_ns: int
    """where it begins, on the trace's clock"""
    standard_uncertainty_s: float
    correlation: float
    """of trace and burst"""
    rise_s: float
    """time constant of the load's rise that fits best"""


def find_pulse(
    samples: Samples, spec: MonitorSpec, code: Sequence[int], chip_s: float, near_ns: int, reach_s: float
) -> Pulse:
    """Find the burst of `code` (1 busy, 0 idle), `chip_s` a chip, that began within `reach_s` of `near_ns`.

    The trace, of one channel, must cover the burst and `reach_s` on both sides. Every candidate is averaged over the
    samples' own apertures, so that the peak is known to a fraction of a period.

    Raises `TraceIncomplete`, and `PulseLost` where nothing in the trace resembles the burst.
    """
    length_s = len(code) * chip_s
    trace = samples.between(near_ns - round(reach_s * 1e9), near_ns + round((length_s + reach_s) * 1e9))
    end_s = np.asarray((trace.time_ns - near_ns) * 1e-9, np.float64)
    if len(trace) < 0.9 * (length_s + 2.0 * reach_s) / spec.period_s:
        raise TraceIncomplete(f"{spec.name}: the trace does not cover the sync pulse")
    power_w = np.asarray(trace.power_w - trace.power_w.mean(), np.float64)

    def search(shifts_s: FloatArray, rise_s: float) -> FloatArray:
        return _correlate(_burst(tuple(code), chip_s, rise_s), end_s, spec.aperture_s, power_w, shifts_s)

    coarse_s = np.arange(-reach_s, reach_s, spec.period_s / 2.0)
    about_s = float(coarse_s[np.argmax(search(coarse_s, 0.0))])
    step_s = spec.period_s / FINE_STEPS
    fine_s = np.arange(about_s - max(RISES_S) - 2.0 * spec.period_s, about_s + 2.0 * spec.period_s, step_s)
    fits = {rise_s: search(fine_s, rise_s) for rise_s in RISES_S}
    rise_s = max(fits, key=lambda rise: float(fits[rise].max()))
    shift_s, correlation = _peak(fine_s, fits[rise_s])
    if correlation < LEAST_CORRELATION:
        raise PulseLost(
            f"{spec.name}: the sync pulse does not show in the trace (correlation {correlation:.2f}); is the meter in "
            "the board's supply line, and the board idle otherwise?"
        )
    burst = _burst(tuple(code), chip_s, rise_s)
    noise_s = _noise_s(burst, end_s, spec.aperture_s, power_w, shift_s, step_s)
    return Pulse(
        start_ns=near_ns + round(shift_s * 1e9),
        standard_uncertainty_s=math.hypot(noise_s, RISE_SHARE * rise_s, step_s),
        correlation=correlation,
        rise_s=rise_s,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Burst:
    """The load, 0 to 1, integrated from the burst's start; it rests before and after."""

    time_s: FloatArray
    integral_s: FloatArray

    def mean(self, start_s: FloatArray, end_s: FloatArray) -> FloatArray:
        """Mean load over each window, same shape."""
        whole = np.interp(end_s, self.time_s, self.integral_s) - np.interp(start_s, self.time_s, self.integral_s)
        return np.asarray(whole / (end_s - start_s))


@lru_cache(maxsize=32)
def _burst(code: tuple[int, ...], chip_s: float, rise_s: float) -> _Burst:
    step_s = chip_s / GRID_PER_CHIP
    tail = math.ceil(8.0 * rise_s / step_s)
    wanted = np.concatenate((np.repeat(np.array(code, np.float64), GRID_PER_CHIP), np.zeros(tail)))
    integral_s = np.concatenate(([0.0], np.cumsum(wanted * step_s)))
    if rise_s:  # what a first-order lag passes on is what came in, less its time constant times where it stands
        keep = math.exp(-step_s / rise_s)
        lagging = accumulate(wanted.tolist(), lambda load, goal: goal + (load - goal) * keep, initial=0.0)
        integral_s -= rise_s * np.fromiter(lagging, np.float64)
    return _Burst(np.asarray(np.arange(len(integral_s)) * step_s, np.float64), integral_s)


def _correlate(
    burst: _Burst, end_s: FloatArray, aperture_s: float, power_w: FloatArray, shifts_s: FloatArray
) -> FloatArray:
    """Correlation coefficient of the trace with the burst shifted by each of the shifts."""
    ends_s = end_s[None, :] - shifts_s[:, None]
    load = burst.mean(ends_s - aperture_s, ends_s)
    load -= load.mean(axis=1, keepdims=True)
    norm = np.sqrt((load**2).sum(axis=1) * (power_w**2).sum())
    return np.asarray((load @ power_w) / np.where(norm > 0.0, norm, np.inf))


def _peak(at: FloatArray, value: FloatArray) -> tuple[float, float]:
    """Place and height of the highest value, by the parabola through it and its neighbours."""
    top = int(np.clip(np.argmax(value), 1, len(value) - 2))
    left, middle, right = value[top - 1 : top + 2].tolist()
    bend = left - 2.0 * middle + right
    off = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return float(at[top] + off * (at[1] - at[0])), middle - 0.25 * (left - right) * off


def _noise_s(
    burst: _Burst, end_s: FloatArray, aperture_s: float, power_w: FloatArray, shift_s: float, step_s: float
) -> float:
    """How far noise moves the peak: what is left of the trace over how steeply the burst changes with its place."""

    def load(at_s: float) -> FloatArray:
        mean = burst.mean(end_s - at_s - aperture_s, end_s - at_s)
        return np.asarray(mean - mean.mean())

    here = load(shift_s)
    amplitude_w = float(here @ power_w / (here @ here))
    left_w = power_w - amplitude_w * here
    slope = amplitude_w * (load(shift_s + step_s) - load(shift_s - step_s)) / (2.0 * step_s)
    return float(np.sqrt(np.mean(left_w**2) / np.sum(slope**2)))
