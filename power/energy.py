"""Joules over a window of a trace, with a standard uncertainty built from its causes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from power.curve import REACH, Curve
from power.errors import TraceIncomplete, WindowTooShort
from power.monitor import Channel, Kind, MonitorSpec
from power.samples import Samples

LEAST_PRESENT = 0.9
"""a window with a smaller fraction of its samples present has no energy"""
LONGEST_GAP = 0.05
"""the longest run of lost samples bridged by a straight line, as a fraction of the window"""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a window's energy, with its uncertainty by cause."""

    energy_j: float
    budget_j: Mapping[str, float]

    @property
    def standard_uncertainty_j(self) -> float:
        return math.hypot(*self.budget_j.values())


@dataclass(frozen=True, slots=True)
class Energy:
    """The energy of one window. Standard uncertainties are one standard deviation (k = 1)."""

    energy_j: float
    standard_uncertainty_j: float
    budget_j: Mapping[str, float]
    """cause -> its standard uncertainty: sampling, edges, clock, gain, offset, quantisation, missing"""
    present: float
    """fraction of the window's samples that arrived"""
    window_s: float
    mean_power_w: float
    peak_power_w: float
    """of the samples in the window"""
    baseline_power_w: float | None = None
    """mean power of the idle guards; None without guards"""
    idle_subtracted_j: float | None = None
    """energy less the baseline over the window; the meter's offset is not in it"""
    idle_subtracted_standard_uncertainty_j: float | None = None
    idle_subtracted_budget_j: Mapping[str, float] | None = None
    """as `budget_j`, with the baseline's"""
    busy: Part | None = None
    """energy of the time the board was busy; None unless asked for"""


def cut(
    samples: Samples,
    start_ns: int,
    end_ns: int,
    spec: MonitorSpec,
    *,
    channel: int | None = None,
    clock_uncertainty_s: float = 0.0,
    pad_s: float = 0.0,
    guard_s: float = 0.0,
    busy_s: float | None = None,
) -> Energy:
    """The energy between two moments of the controller's clock, of one channel or, without one, of the declared total.

    `clock_uncertainty_s` is the standard uncertainty of the window's place on the trace's clock. Where the board idles
    for `guard_s` on both sides of the window, give `guard_s` and a `pad_s` below it: the integral then runs from
    `pad_s` before the start to `pad_s` after the end, less the baseline measured in the rest of each guard over that
    side's pad, which makes the result insensitive to the clock and catches a slow return to idle.

    Where the board also idled within the window (a stream between its frames), `busy_s` is how long it did not; `busy`
    is then the energy of that time. It needs guards.

    Raises `WindowTooShort`, and `TraceIncomplete` when the trace does not cover the window or lost too much of it.
    """
    window_s = (end_ns - start_ns) * 1e-9
    if window_s < spec.shortest_window_s * (1 - 1e-9):
        repetitions = math.ceil(spec.shortest_window_s / window_s) if window_s > 0 else 1
        raise WindowTooShort(window_s, spec.shortest_window_s, repetitions, spec.name)
    if (pad_s or guard_s) and not 0 < pad_s < guard_s:
        raise ValueError(f"pad_s must lie between 0 and guard_s, got pad_s={pad_s:g}, guard_s={guard_s:g}")
    reach_s = max(guard_s, pad_s + REACH * clock_uncertainty_s)
    measured, trace = (
        (spec.whole, samples.sum_of(spec.total))
        if channel is None
        else (spec.channels[channel], samples.of_channel(channel))
    )
    curve = Curve.around(trace, start_ns, spec, -reach_s, window_s + reach_s)
    start_s, end_s = -pad_s, window_s + pad_s
    present = _require_present(curve, start_s, end_s, spec)
    idle = Idle.beside(curve, window_s, pad_s, guard_s) if guard_s else None

    energy_j = float(curve.joules(start_s, end_s)) - (idle.padding_j if idle else 0.0)
    budget = {
        "sampling": curve.sampling(start_s, end_s),
        "edges": math.hypot(curve.edge(start_s), curve.edge(end_s), idle.padding_uncertainty_j if idle else 0.0),
        "clock": curve.clock(start_s, end_s, clock_uncertainty_s),
        "gain": measured.gain_standard_uncertainty * abs(energy_j),
        "offset": measured.offset_standard_uncertainty_w * window_s,
        "quantisation": _quantisation(curve, window_s, measured.power_lsb_w, spec),
        "missing": curve.missing(start_s, end_s),
    }
    energy = Energy(
        energy_j=energy_j,
        standard_uncertainty_j=math.hypot(*budget.values()),
        budget_j=budget,
        present=present,
        window_s=window_s,
        mean_power_w=energy_j / window_s,
        peak_power_w=float(curve.power_w[curve.within(0.0, window_s)].max()),
    )
    if idle is None:
        return energy
    subtracted = idle.without(window_s, energy, measured)
    return replace(
        energy,
        baseline_power_w=idle.baseline_w,
        idle_subtracted_j=subtracted.energy_j,
        idle_subtracted_standard_uncertainty_j=subtracted.standard_uncertainty_j,
        idle_subtracted_budget_j=subtracted.budget_j,
        busy=idle.without(max(0.0, window_s - busy_s), energy, measured) if busy_s is not None else None,
    )


@dataclass(frozen=True, slots=True)
class Idle:
    """The power of the idle board just before and just after a window, and what the pads owe to it."""

    baseline_w: float
    baseline_uncertainty_w: float
    padding_j: float
    """baseline energy of both pads"""
    padding_uncertainty_j: float

    @staticmethod
    def beside(curve: Curve, window_s: float, pad_s: float, guard_s: float) -> Idle:
        """From the guards [-guard, -pad] and [window + pad, window + guard]. Raises `TraceIncomplete` on a bare one."""
        before = curve.power_w[(curve.middle_s > -guard_s) & (curve.middle_s < -pad_s)]
        after = curve.power_w[(curve.middle_s > window_s + pad_s) & (curve.middle_s < window_s + guard_s)]
        if min(len(before), len(after)) < 2:
            raise TraceIncomplete(f"fewer than 2 samples of the idle board on a side; widen guard_s={guard_s:g}")
        before_w, after_w = float(before.mean()), float(after.mean())
        # The mean of a guard stands for its pad: the noise of both counts, and so does a drift between the guards.
        noise_w = [float(guard.std(ddof=1)) / math.sqrt(len(guard)) for guard in (before, after)]
        beside_pad = math.sqrt(1.0 + (guard_s - pad_s) / pad_s)
        drift_w = abs(after_w - before_w) / math.sqrt(12.0)
        return Idle(
            baseline_w=(before_w + after_w) / 2,
            baseline_uncertainty_w=math.hypot(noise_w[0] / 2, noise_w[1] / 2, drift_w),
            padding_j=pad_s * (before_w + after_w),
            padding_uncertainty_j=pad_s * math.hypot(noise_w[0] * beside_pad, noise_w[1] * beside_pad, drift_w),
        )

    def without(self, idle_s: float, energy: Energy, channel: Channel) -> Part:
        """The energy less the baseline over `idle_s` of its window.

        Gain and offset act on energy and baseline alike, so only what they do to the difference counts.
        """
        part_j = energy.energy_j - self.baseline_w * idle_s
        baseline_u_w = math.hypot(self.baseline_uncertainty_w, channel.power_lsb_w / math.sqrt(12.0))
        return Part(
            part_j,
            {
                **energy.budget_j,
                "gain": channel.gain_standard_uncertainty * abs(part_j),
                "offset": channel.offset_standard_uncertainty_w * (energy.window_s - idle_s),
                "baseline": baseline_u_w * idle_s,
            },
        )


def _quantisation(curve: Curve, window_s: float, lsb_w: float, spec: MonitorSpec) -> float:
    """Of the readings; of a counter, only the first and the last reading are rounded."""
    if spec.kind is Kind.COUNTING:
        return lsb_w * spec.period_s / math.sqrt(6.0)
    return curve.quantisation(0.0, window_s, lsb_w)


def _require_present(curve: Curve, start_s: float, end_s: float, spec: MonitorSpec) -> float:
    """Fraction of samples present. Raises `TraceIncomplete` when too many are missing, or too many in a row.

    Not of a counter, whose next reading tells what was lost.
    """
    present = curve.present(start_s, end_s)
    gap_s = curve.longest_gap_s(start_s, end_s)
    if spec.kind is Kind.COUNTING:
        return present
    if present < LEAST_PRESENT or gap_s > LONGEST_GAP * (end_s - start_s):
        raise TraceIncomplete(
            f"{spec.name} lost {1 - present:.1%} of the window's samples, up to {gap_s * 1e3:.3g} ms in a row; at most "
            f"{1 - LEAST_PRESENT:.0%}, and {LONGEST_GAP:.0%} of the window in a row, can be bridged: measure again"
        )
    return present
