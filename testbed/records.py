"""What the rooms say of a trial, as the run store keeps it, and what is read out of it again."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from power import ClockFit, Energy, MonitorSpec
from results import (
    ActionRecord,
    CalibrationFacts,
    ConditionRecord,
    EnergyRecord,
    MarksRecord,
    MeterRecord,
    NetworkRecord,
    OptRecord,
    TrialRecord,
)
from results import ClockFit as ClockRecord
from scheduler.contract import Action
from testbed.calibration import CalibrationRecord
from testbed.config import Workload
from testbed.marks import Alignment
from testbed.models import zoo
from testbed.plan import PlannedTrial


def energy_record(energy: Energy, n: int, *, frames: bool) -> EnergyRecord:
    """The record of a trial of n inferences, `frames` of a stream or not.

    The energy of an inference is that of the time the board was busy: what it draws while it only waits, for a stream's
    next frame or for the agent between two inferences, is no part of it. Without guards nobody knows what that is, and
    it stays in.
    """
    busy = energy.busy
    idle_u_j = energy.idle_subtracted_standard_uncertainty_j
    return EnergyRecord(
        energy_j=(busy.energy_j if busy else energy.energy_j) / n,
        standard_uncertainty_j=(busy.standard_uncertainty_j if busy else energy.standard_uncertainty_j) / n,
        budget_j={cause: value / n for cause, value in (busy or energy).budget_j.items()},
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


def marks_record(alignment: Alignment) -> MarksRecord:
    """How the marks of a block are placed."""
    return MarksRecord(method=alignment.method, fit=clock_record(alignment.fit()), note=alignment.note)


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


def calibration_facts(record: CalibrationRecord) -> CalibrationFacts:
    """What is cited wherever readings were corrected by it."""
    return CalibrationFacts(says=str(record), record=record.model_dump(mode="json"))


def lost_record(
    planned: PlannedTrial,
    workload: Workload,
    action: Action | None,
    condition: ConditionRecord,
    lost_ns: tuple[int, int],
    note: str,
) -> TrialRecord:
    """Of a trial whose answer never came; nothing is claimed of it. `lost_ns`: when it was asked for, and given up."""
    return TrialRecord(
        index=planned.index,
        block=planned.block,
        kind=planned.kind,
        workload=planned.workload,
        environment=planned.environment,
        policy=planned.policy,
        state={},
        action=ActionRecord(**asdict(action)) if action else None,
        explored=False,
        n=0,
        latencies_s=(),
        transmit_s=0.0,
        receive_s=0.0,
        compute_s=0.0,
        qos_s=workload.qos_s,
        qos_met=0,
        accuracy=None,
        accuracy_target=workload.accuracy_target,
        start_ns=lost_ns[0],
        end_ns=lost_ns[1],
        energy=None,
        estimated_energy_j=None,
        learnt=None,
        reward=None,
        opt=None,
        truth_energy_j=None,
        radio_penalty_j=None,
        condition=condition,
        observed={},
        clock=None,
        outcome="lost",
        note=note,
    )


def with_remark(trial: TrialRecord, remark: str) -> TrialRecord:
    """The record with a remark before its own note."""
    return replace(trial, note="; ".join(filter(None, (remark, trial.note))))


def profile_record(trial: TrialRecord) -> dict[str, Any]:
    """A metered trial, as policies and the on-board estimator learn from it."""
    assert trial.energy is not None
    return {
        "workload": trial.workload,
        "state": trial.state,
        "action": _action(trial),
        "latency_s": statistics.fmean(trial.latencies_s),
        "transmit_s": trial.transmit_s / trial.n,
        "receive_s": trial.receive_s / trial.n,
        "energy_j": trial.energy.energy_j,
    }


def decision_record(trial: TrialRecord) -> dict[str, Any]:
    """A decision and what its policy was told of it, as the policy is led through it again."""
    assert trial.learnt is not None
    return {
        "workload": trial.workload,
        "block": trial.block,
        "state": trial.state,
        "action": _action(trial),
        "outcome": {
            "latency_s": trial.learnt.latency_s,
            "energy_j": trial.learnt.energy_j,
            "accuracy": trial.learnt.accuracy,
            "failed": trial.learnt.failed,
        },
    }


def _action(trial: TrialRecord) -> dict[str, Any]:
    assert trial.action is not None
    return {
        "target": trial.action.target,
        "precision": trial.action.precision,
        "frequency_hz": trial.action.frequency_hz,
    }


def network_record(model: zoo.PreparedModel) -> NetworkRecord:
    """What a workload runs."""
    counts = model.counts
    return NetworkRecord(
        name=model.name,
        conv_layers=counts.conv_layers,
        fc_layers=counts.fc_layers,
        rc_layers=counts.rc_layers,
        macs=counts.macs,
        input_bytes=model.input_bytes,
        accuracy={str(precision): accuracy.value for precision, accuracy in model.accuracy.items()},
        sha256={str(precision): digest for precision, digest in model.sha256.items()},
    )


def meter_record(spec: MonitorSpec) -> MeterRecord:
    """What the samples of a run are samples of."""
    return MeterRecord(
        rate_hz=spec.rate_hz,
        aperture_s=spec.aperture_s,
        channels=tuple(channel.name for channel in spec.channels),
        total=spec.total,
    )
