"""A run folder as the records of a board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import floor
from pathlib import Path
from statistics import median
from typing import Any

from results import Run, TrialRecord
from scheduler.contract import Action
from testbed.arena.config import ArenaWorkload
from testbed.arena.contract import Sample
from testbed.arena.replay import Condition, Records, Surroundings, Trial, missing
from testbed.errors import BenchError

_ORIGIN = {"virtual": "a run on a virtual bench", "measured": "a run measured on hardware"}


def read(folder: Path, workloads: Sequence[ArenaWorkload]) -> Records:
    """Every inference of a run but warm-ups. Raises StoreError for no run, BenchError for one without energies."""
    run = Run.read(folder)
    wanted = {workload.name for workload in workloads}
    dropped: Counter[str] = Counter()
    trials: list[Trial] = []
    accuracy: dict[str, dict[str, float]] = {}
    for record in run.trials:
        if record.kind == "warmup" or record.workload not in wanted:
            continue
        if reason := _unusable(record):
            dropped[reason] += 1
            continue
        if record.accuracy is not None and record.action is not None:
            accuracy.setdefault(record.workload, {})[record.action.precision] = record.accuracy
        trials += _trials(record)
    if not trials:
        raise BenchError(f"{folder} holds no trial with an energy; replay a run that was metered")
    baselines = [r.energy.baseline_power_w for r in run.trials if r.energy and r.energy.baseline_power_w is not None]
    notes = [f"{count} trials dropped: {reason}" for reason, count in sorted(dropped.items())]
    return Records(
        provenance=f"replay of {folder.name}, {_ORIGIN.get(run.header.provenance, run.header.provenance)}",
        actions=tuple(sorted({trial.action for trial in trials}, key=str)),
        trials=tuple(trials),
        accuracy=accuracy,
        idle_power_w=median(baselines) if baselines else None,
        notes=(*notes, *missing(trials, sorted(wanted))),
    )


def _unusable(record: TrialRecord) -> str | None:
    if record.outcome in ("refused", "lost"):
        return record.outcome
    energy_j = _energy_j(record)
    if energy_j is None:
        return "energy neither metered nor estimated"
    if energy_j <= 0.0 or not record.latencies_s or min(record.latencies_s) <= 0.0:
        return "latency or energy not above zero"
    return None


def _energy_j(record: TrialRecord) -> float | None:
    return record.energy.energy_j if record.energy else record.estimated_energy_j


def _trials(record: TrialRecord) -> list[Trial]:
    """One for each inference; they share the trial's mean energy and time on the air."""
    state = {name: float(str(value)) for name, value in record.state.items()}
    assert record.action is not None
    action = Action(record.action.target, record.action.precision, record.action.frequency_hz)
    energy_j = _energy_j(record)
    assert energy_j is not None
    failed_at = record.n - 1 if record.outcome == "failed" else None
    return [
        Trial(
            record.workload,
            record.environment,
            _condition(record.condition.asked, state),
            Surroundings(**state),
            action,
            Sample(latency_s, energy_j, record.transmit_s / record.n, record.receive_s / record.n, i == failed_at),
        )
        for i, latency_s in enumerate(record.latencies_s)
    ]


def _condition(asked: Mapping[str, Any], state: Mapping[str, float]) -> Condition:
    """The condition imposed, or what was observed where that is not on record."""
    load = asked.get("co_runner") or {}
    link, peer = asked.get("link") or {}, asked.get("peer_link") or {}
    return Condition(
        load=(round(10.0 * load.get("cpu", state["co_cpu"])), round(10.0 * load.get("memory", state["co_memory"]))),
        signal=floor(link.get("rssi_dbm", state["rssi_dbm"]) / 10.0),
        peer_signal=floor(peer.get("rssi_dbm", state["peer_rssi_dbm"]) / 10.0),
    )
