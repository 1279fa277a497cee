"""Energy of something repeated: what scatters averages out, what is wrong with the meter does not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from power.energy import Energy, Part
from power.errors import OutOfReach

SHARED = ("gain", "offset", "quantisation", "clock", "baseline")
"""causes that are off the same way in every repetition: the meter's scale and zero, the rounding of a steady power, the
place of its clock, the idle power taken off"""
SCALED = ("gain", "offset", "quantisation", "baseline")
"""causes that grow with the window: no longer one makes them less"""
ONCE = ("edges", "clock")
"""causes that come once a window, however long it is; the others grow with the root of its length"""


def least_relative(energy: Energy) -> float:
    """The relative standard uncertainty that no longer window and no repetition goes below."""
    return math.hypot(*(energy.budget_j.get(cause, 0.0) for cause in SCALED)) / abs(energy.energy_j)


def repetitions_for(energy: Energy, relative: float) -> int:
    """How often to do what a window held back to back, for a relative standard uncertainty of the energy.

    With the causes' shares s (with the length), o (once) and r (with its root) of the energy, n times leave
    s^2 + (o / n)^2 + r^2 / n. Raises `OutOfReach` when s alone is too much.
    """
    share = {cause: value_j / abs(energy.energy_j) for cause, value_j in energy.budget_j.items()}
    scaled, once = least_relative(energy), math.hypot(*(share.get(cause, 0.0) for cause in ONCE))
    rooted = math.hypot(*(value for cause, value in share.items() if cause not in (*SCALED, *ONCE)))
    if scaled >= relative:
        raise OutOfReach(relative, scaled)
    room = relative**2 - scaled**2
    inverse = 2.0 * room / (rooted**2 + math.sqrt(rooted**4 + 4.0 * once**2 * room)) if once or rooted else 1.0
    return max(1, math.ceil(1.0 / inverse - 1e-9))


@dataclass(frozen=True, slots=True)
class Repetition:
    """What one call took, in the mean over windows of `calls` calls each."""

    call: Part
    """whole energy of a call; cause "scatter" is what the windows themselves show (type A)"""
    idle_subtracted: Part | None
    """less the baseline; None where none was taken"""
    windows: int
    calls: int
    """in each window"""
    duration_s: float
    """of a call"""
    relative: float
    """standard uncertainty asked for, of the whole energy"""

    @staticmethod
    def of(windows: Sequence[Energy], calls: int, relative: float) -> Repetition:
        """From n > 0 windows; below 4 their scatter is not known, and counts as endless."""
        idle_j = [window.idle_subtracted_j for window in windows if window.idle_subtracted_j is not None]
        return Repetition(
            call=_mean([window.energy_j for window in windows], [window.budget_j for window in windows], calls),
            idle_subtracted=_mean(idle_j, [w.idle_subtracted_budget_j or {} for w in windows], calls)
            if idle_j
            else None,
            windows=len(windows),
            calls=calls,
            duration_s=float(np.mean([window.window_s for window in windows])) / calls,
            relative=relative,
        )

    @property
    def reached(self) -> bool:
        """Whether the energy is known as well as asked for."""
        return self.call.standard_uncertainty_j <= self.relative * abs(self.call.energy_j)


def _mean(energies_j: Sequence[float], budgets_j: Sequence[Mapping[str, float]], calls: int) -> Part:
    n = len(energies_j)
    # Few windows know their own scatter badly: the variance of the t distribution, (n - 1) / (n - 3); GUM supplement 1,
    # 6.4.9.
    scatter_j = float(np.std(energies_j, ddof=1)) * math.sqrt((n - 1) / (n - 3) / n) if n > 3 else math.inf
    shared = {cause: float(np.mean([b[cause] for b in budgets_j])) / calls for cause in SHARED if cause in budgets_j[0]}
    return Part(float(np.mean(energies_j)) / calls, {"scatter": scatter_j / calls, **shared})
