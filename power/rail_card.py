"""A board's own sensors held against a meter in its supply: how far their sum is off, and what is left of it.

A board's rails leave out what the carrier, its regulators and the supply's cable draw, and lag behind. The card says
so in numbers: later joules from the rails alone are those of the whole board, with an uncertainty that was tested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from power.corrected import Correction
from power.energy import cut
from power.errors import TraceIncomplete
from power.monitor import MonitorSpec
from power.samples import FloatArray, Samples

HOLD_OUT = 3
"""every so-many-th load checks the card instead of fitting it"""
LEAST_SPAN = 1.2
"""of the highest power over the lowest, for gain and offset to be told apart"""
LEAST_LOADS = 6
_DELAYS = 20
"""periods of the rails, either way, within which the delay is looked for"""
_FINENESS = 10
"""steps a period"""
_SCATTER = 0.002
"""relative, of the mean power under one load: the least that two instruments differ by chance"""


class CardRefused(ValueError):
    """The readings make no card, with the reason and the cure."""


@dataclass(frozen=True, slots=True)
class RailCard:
    """The sum of the rails shows (1 + gain) P + offset_w, `delay_s` late. Standard uncertainties, k = 1.

    That of the gain holds the meter's own gain, and the error on the loads that were held out.
    """

    gain: float
    gain_standard_uncertainty: float
    offset_w: float
    offset_standard_uncertainty_w: float
    delay_s: float
    delay_standard_uncertainty_s: float
    held_out_error: float
    """root mean square, relative, over the loads held out"""
    loads: int
    power_w: tuple[float, float]
    """the least and the most power it was made at"""

    def corrections(self, spec: MonitorSpec) -> dict[int, Correction]:
        """For each channel of the rails: those of the total share the offset, and all of them the delay."""
        share = len(spec.total)
        return {
            number: Correction(
                self.gain,
                self.gain_standard_uncertainty,
                self.offset_w / share,
                self.offset_standard_uncertainty_w / math.sqrt(share),
                self.delay_s,
            )
            if number in spec.total
            else Correction(
                0.0, channel.gain_standard_uncertainty, 0.0, channel.offset_standard_uncertainty_w, self.delay_s
            )
            for number, channel in enumerate(spec.channels)
        }


def fit_card(
    rails: Samples,
    rails_spec: MonitorSpec,
    meter: Samples,
    meter_spec: MonitorSpec,
    loads_ns: Sequence[tuple[int, int]],
) -> RailCard:
    """From both traces of one stretch of time, within which the board bore steady loads at `loads_ns`.

    A load whose samples were lost is left out. Raises CardRefused and WindowTooShort.
    """
    pairs = []
    for start_ns, end_ns in loads_ns:
        with suppress(TraceIncomplete):  # the others make up for it, or there are too few
            means = (cut(rails, start_ns, end_ns, rails_spec), cut(meter, start_ns, end_ns, meter_spec))
            pairs.append([energy.mean_power_w for energy in means])
    if len(pairs) < LEAST_LOADS:
        raise CardRefused(f"{len(pairs)} loads with whole traces are too few for a card: {LEAST_LOADS} at the least")
    shown, true = np.array(pairs).T
    if true.max() < LEAST_SPAN * true.min():
        raise CardRefused(
            f"the loads reach from {true.min():.3g} to {true.max():.3g} W: too alike to tell a gain from an offset; "
            "see that the load generator loads the board"
        )
    held_out = np.arange(len(true)) % HOLD_OUT == HOLD_OUT - 1
    (gain, offset_w), (gain_u, offset_u) = _line(true[~held_out], shown[~held_out])
    errors = (shown[held_out] - offset_w) / (1.0 + gain) / true[held_out] - 1.0
    held_out_error = float(np.sqrt(np.mean(errors**2)))
    if gain <= -1.0:
        raise CardRefused("the rails show less the more the board draws: these are not its rails")
    delay_s, delay_u = _delay(rails.sum_of(rails_spec.total), rails_spec, meter.sum_of(meter_spec.total))
    whole = meter_spec.whole
    return RailCard(
        gain=gain,
        gain_standard_uncertainty=math.hypot(gain_u, whole.gain_standard_uncertainty, held_out_error),
        offset_w=offset_w,
        offset_standard_uncertainty_w=math.hypot(offset_u, whole.offset_standard_uncertainty_w),
        delay_s=delay_s,
        delay_standard_uncertainty_s=delay_u,
        held_out_error=held_out_error,
        loads=len(true),
        power_w=(float(true.min()), float(true.max())),
    )


def _line(true: FloatArray, shown: FloatArray) -> tuple[tuple[float, float], tuple[float, float]]:
    """(gain, offset) of shown = (1 + gain) true + offset, and their standard uncertainties."""
    weights = 1.0 / true
    design = np.stack([true, np.ones_like(true)], axis=1) * weights[:, None]
    solution = np.linalg.lstsq(design, shown * weights, rcond=None)[0]
    scatter = max(float(np.std(shown * weights - design @ solution, ddof=2)), _SCATTER)
    gain_u, offset_u = scatter * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    return (float(solution[0]) - 1.0, float(solution[1])), (float(gain_u), float(offset_u))


def _delay(rails: Samples, spec: MonitorSpec, meter: Samples) -> tuple[float, float]:
    """How far the rails lag behind the meter, and its standard uncertainty, by least squares over the whole stretch."""
    step_s = spec.period_s / _FINENESS
    tried_s = np.arange(-_DELAYS * _FINENESS, _DELAYS * _FINENESS + 1) * step_s
    reach_ns = round((tried_s[-1] + spec.period_s) * 1e9)
    inside = (rails.time_ns > meter.time_ns[0] + reach_ns) & (rails.time_ns < meter.time_ns[-1] - reach_ns)
    time_ns, power_w = rails.time_ns[inside], rails.power_w[inside]
    if len(time_ns) < 10:
        raise CardRefused("both traces must cover the same stretch of time; record longer")
    energy = np.concatenate([[0.0], np.cumsum(np.diff(meter.time_ns) * meter.power_w[1:])])
    width_ns = max(spec.aperture_s * 1e9, float(np.median(np.diff(meter.time_ns))))

    def misfit(delay_s: float) -> float:
        """Sum of squares that a line leaves of the rails over the meter, averaged as a rail's reading is."""
        ends_ns = time_ns - round(delay_s * 1e9)
        joules = np.interp(ends_ns, meter.time_ns, energy) - np.interp(ends_ns - width_ns, meter.time_ns, energy)
        design = np.stack([joules / width_ns, np.ones(len(ends_ns))], axis=1)
        left = power_w - design @ np.linalg.lstsq(design, power_w, rcond=None)[0]
        return float(left @ left)

    misfits = np.array([misfit(delay_s) for delay_s in tried_s])
    best = int(misfits.argmin())
    if best in (0, len(misfits) - 1):
        raise CardRefused(f"the rails follow the meter at no delay within {tried_s[-1]:.2g} s: see that both work")
    before, here, after = misfits[best - 1 : best + 2]
    curvature = before - 2.0 * here + after
    offset = 0.5 * (before - after) / curvature if curvature > 0 else 0.0
    noise = math.sqrt(2.0 * here / (len(time_ns) - 3) / curvature) if curvature > 0 else 1.0
    return float(tried_s[best] + offset * step_s), float(step_s * max(noise, 0.5))
