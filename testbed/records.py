"""What the rooms say of a trial, as the run store keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from power import ClockFit, Energy
from results import ActionRecord, EnergyRecord, OptRecord
from results import ClockFit as ClockRecord


def energy_record(energy: Energy, n: int, busy_s: float, *, frames: bool) -> EnergyRecord:
    """The record of a trial of n inferences that together took `busy_s` of the window.

    The energy of the inferences is the window's less the baseline over the time the board only waited: for a stream's
    next frame, or for the agent between two inferences.
    """
    baseline_w = energy.baseline_power_w or 0.0
    waited_s = max(0.0, energy.window_s - busy_s) if energy.baseline_power_w is not None else 0.0
    idle_u_j = energy.idle_subtracted_standard_uncertainty_j
    uncertainty_j = math.hypot(energy.standard_uncertainty_j, waited_s / energy.window_s * (idle_u_j or 0.0))
    scale = uncertainty_j / energy.standard_uncertainty_j if energy.standard_uncertainty_j else 1.0
    return EnergyRecord(
        energy_j=(energy.energy_j - waited_s * baseline_w) / n,
        standard_uncertainty_j=uncertainty_j / n,
        budget_j={cause: scale * value / n for cause, value in energy.budget_j.items()},
        window_energy_j=energy.energy_j,
        idle_subtracted_j=None if energy.idle_subtracted_j is None else energy.idle_subtracted_j / n,
        idle_subtracted_standard_uncertainty_j=None if idle_u_j is None else idle_u_j / n,
        frame_energy_j=energy.energy_j / n if frames else None,
        present=energy.present,
        window_s=energy.window_s,
        mean_power_w=energy.mean_power_w,
        peak_power_w=energy.peak_power_w,
        baseline_power_w=energy.baseline_power_w,
    )


def clock_record(fit: ClockFit) -> ClockRecord:
    """A clock's fit as offset and drift against the controller's clock."""
    return ClockRecord(
        offset_ns=fit.device_ns - fit.controller_ns,
        drift=-fit.drift / (1.0 + fit.drift),
        uncertainty_s=fit.standard_uncertainty_s,
        residual_s=fit.residual_s,
    )


def opt_record(opt: Mapping[str, Any] | None) -> OptRecord | None:
    """What the agent says of the clairvoyant's choice; None where nobody knows the truth."""
    if opt is None:
        return None
    return OptRecord(
        action=ActionRecord(**opt["action"]),
        energy_j=opt["energy_j"],
        feasible=opt["feasible"],
        chosen_energy_j=opt["chosen_energy_j"],
        chosen_met=opt["chosen_met"],
    )
