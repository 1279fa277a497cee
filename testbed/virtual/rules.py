"""How the constants of a profile follow from published figures. Every derivation is here, and computed.

1. Mean from 90th percentile: MLPerf's SingleStream latency is a 90th percentile; the mean is what a log-normal latency
   of the processor's own jitter has there.
2. Board from wall: energies measured at the wall are divided among board and power supply by `SUPPLY_EFFICIENCY`.
3. Rate: the compute time that the law needs to give the published mean at the published clock.
4. Power: what the energy leaves once the idle board and the launching host are paid, at full activity, highest clock.
5. A network that is not published runs at the rate and power of the nearest kind that is, one that uses the units alike
   (`networks`); its own arithmetic, traffic and kernels do the rest.
6. A precision that is not published runs at a published ratio to one that is (`scaled`).
7. What does not scale with the clock, between the two clocks of a published pair, is the cost of kernels (`kernel_s`).
8. An accelerator whose efficiency is published relative to another's draws accordingly (`relative_power_w`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from testbed.virtual import silicon
from testbed.virtual.networks import Work
from testbed.virtual.profile import Anchor, Circuit

SUPPLY_EFFICIENCY = 0.88
"""of an external power supply: the minimum average of level VI (US DOE 10 CFR 430.32(w)) above 49 W"""
_Z90 = NormalDist().inv_cdf(0.9)


@dataclass(frozen=True, slots=True)
class Published:
    """One row of a published table. `energy_j` is None where only latency is given."""

    work: Work
    mean_s: float
    frequency_hz: float
    energy_j: float | None = None
    """of the board, per inference"""


def mean_from_median_s(median_s: float, jitter: float) -> float:
    """Rule 1, of a median."""
    return median_s * math.exp(0.5 * jitter**2)


def mean_from_p90_s(p90_s: float, jitter: float) -> float:
    """Rule 1."""
    return p90_s / math.exp(_Z90 * jitter - 0.5 * jitter**2)


def board_from_wall(wall: float) -> float:
    """Rule 2, of a power or an energy."""
    return wall * SUPPLY_EFFICIENCY


def kernel_s(circuit: Circuit, slow: Published, fast: Published) -> float:
    """Rule 7: two rows of one network that differ in the clock alone."""
    cycles = (slow.mean_s - fast.mean_s) / (1.0 / slow.frequency_hz - 1.0 / fast.frequency_hz)
    return (fast.mean_s - cycles / fast.frequency_hz - circuit.host_s) / fast.work.kernels


def rate_macs_per_s(circuit: Circuit, row: Published, kernel_s: float) -> float:
    """Rule 3. Raises ValueError when overhead and memory alone take longer than the row says."""
    body_s = _body_s(circuit, row, kernel_s)
    waiting_s = silicon.memory_s(circuit, row.work, co_memory=0.0)
    if body_s <= waiting_s:
        raise ValueError(f"{row} is faster than its overhead and traffic allow ({body_s:.3g} s <= {waiting_s:.3g} s)")
    compute_s = math.pow(body_s**silicon.CORNER - waiting_s**silicon.CORNER, 1.0 / silicon.CORNER)
    return row.work.macs / compute_s * circuit.highest_hz / row.frequency_hz


def power_w(circuit: Circuit, row: Published, kernel_s: float, idle_w: float) -> float:
    """Rule 4. Raises ValueError when the row has no energy, or less than the idle board draws."""
    body_s = _body_s(circuit, row, kernel_s)
    compute_s = row.work.macs / rate_macs_per_s(circuit, row, kernel_s) * circuit.highest_hz / row.frequency_hz
    idle_j = idle_w * row.mean_s + circuit.host_w * _overhead_s(circuit, row, kernel_s)
    if row.energy_j is None or row.energy_j <= idle_j:
        raise ValueError(f"{row} leaves no energy to the processor: the idle board draws {idle_j:.3g} J meanwhile")
    activity = silicon.activity_of(compute_s, body_s)
    return (row.energy_j - idle_j) / body_s / activity / silicon.power_scale(circuit, row.frequency_hz)


def anchor(circuit: Circuit, row: Published, kernel_s: float, idle_w: float) -> Anchor:
    """Rules 3 and 4, from a row with its energy."""
    rate = rate_macs_per_s(circuit, row, kernel_s)
    return Anchor(rate, power_w(circuit, row, kernel_s, idle_w), kernel_s)


def scaled(anchor: Anchor, speed: float) -> Anchor:
    """Rule 6: the same units, as busy, at another precision."""
    return Anchor(anchor.rate_macs_per_s * speed, anchor.power_w, anchor.kernel_s)


def relative_power_w(power_w: float, per_second: float, own_per_second: float, efficiency_ratio: float) -> float:
    """Rule 8: power at `own_per_second`, from the other's at its `per_second`; the ratio is of inferences per joule."""
    return power_w * own_per_second / per_second / efficiency_ratio


def _overhead_s(circuit: Circuit, row: Published, kernel_s: float) -> float:
    return circuit.host_s + kernel_s * row.work.kernels


def _body_s(circuit: Circuit, row: Published, kernel_s: float) -> float:
    stalled_s = circuit.stalls.probability * circuit.stalls.mean_s
    return row.mean_s - stalled_s - _overhead_s(circuit, row, kernel_s)
