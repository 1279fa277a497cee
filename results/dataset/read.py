"""A run back from a dataset, for what is computed of runs; what was hashed stays hashed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from results.dataset.folder import DatasetFacts, read_facts
from results.dataset.tables import BLOCKS, RUNS
from results.dataset.trials import TRIALS
from results.durable import StoreError
from results.records import (
    ActionRecord,
    BlockRecord,
    CalibrationFacts,
    ClockFit,
    ConditionRecord,
    EnergyRecord,
    MarksRecord,
    MeterRecord,
    NetworkRecord,
    OptRecord,
    OutcomeRecord,
    RewardRecord,
    RunHeader,
    TrialRecord,
)
from results.run import Run

Row = Mapping[str, Any]


def read_run(folder: Path | str, run: str) -> Run:
    """A run of a dataset, in memory, its plan only counted. Raises `StoreError` for one that is not in it."""
    folder = Path(folder)
    facts = read_facts(folder)
    if run not in facts.runs:
        raise StoreError(f"{folder} has no run {run}; it has: {', '.join(facts.runs)}.")
    (row,) = (row for row in _rows(folder, facts, RUNS.name) if row["run"] == run)
    here = f"/run={run}/"
    return Run(
        path=folder,
        header=_header(row),
        plan=({},) * row["planned"],
        trials=tuple(_trial(each) for each in _rows(folder, facts, TRIALS.name, here)),
        blocks=tuple(_block(each) for each in _rows(folder, facts, BLOCKS.name, here)),
        complete=row["complete"],
    )


def _rows(folder: Path, facts: DatasetFacts, table: str, within: str = "") -> Iterator[Row]:
    for path, file in facts.files.items():
        if file.table == table and within in path:
            with pq.ParquetFile(folder / path) as opened:
                for batch in opened.iter_batches():
                    yield from batch.to_pylist()


def _header(row: Row) -> RunHeader:
    meter = None
    if row["meter_rate_hz"] is not None:
        meter = MeterRecord(
            rate_hz=row["meter_rate_hz"],
            aperture_s=row["meter_aperture_s"],
            channels=tuple(row["meter_channels"]),
            total=tuple(row["meter_total"]),
        )
    return RunHeader(
        created=row["created"],
        bench=json.loads(row["bench_json"]),
        suite=json.loads(row["suite_json"]),
        networks={name: NetworkRecord(**facts) for name, facts in json.loads(row["networks_json"]).items()},
        meter=meter,
        seed=row["seed"],
        engines=json.loads(row["engines_json"]),
        versions=json.loads(row["versions_json"]),
        host={"machine": row["machine"], "system": row["system"], "node": row["host"]},
        provenance=row["provenance"],
        labels=tuple(row["tags"]),
        calibrations=tuple(
            CalibrationFacts(says="see its record", record=record) for record in json.loads(row["calibrations_json"])
        ),
    )


def _trial(row: Row) -> TrialRecord:
    learnt, opt = row["learnt_latency_s"] is not None, row["opt_energy_j"] is not None
    return TrialRecord(
        **{name: row[name] for name in _AS_THEY_ARE},
        index=row["trial"],
        state=json.loads(row["state_json"]),
        action=_action(row, "") if row["target"] is not None else None,
        latencies_s=tuple(row["latencies_s"]),
        energy=_energy(row) if row["energy_j"] is not None else None,
        learnt=OutcomeRecord(**{name: row[f"learnt_{name}"] for name in _LEARNT}) if learnt else None,
        reward=RewardRecord(name=row["reward_name"], value=row["reward"]) if row["reward_name"] is not None else None,
        opt=OptRecord(
            action=_action(row, "opt_"),
            energy_j=row["opt_energy_j"],
            feasible=row["opt_feasible"],
            chosen_energy_j=row["chosen_energy_j"],
            chosen_met=row["chosen_met"],
        )
        if opt
        else None,
        condition=ConditionRecord(**json.loads(row["condition_json"]), strayed=tuple(row["strayed"])),
        observed=json.loads(row["observed_json"]),
        clock=_clock(row, "clock"),
    )


_AS_THEY_ARE = (
    *("block", "kind", "workload", "environment", "policy", "explored", "n", "transmit_s", "receive_s"),
    *("compute_s", "qos_s"),
    *("qos_met", "accuracy", "accuracy_target", "start_ns", "end_ns", "estimated_energy_j", "truth_energy_j"),
    *("radio_penalty_j", "outcome", "note"),
)
_LEARNT = ("latency_s", "energy_j", "accuracy", "failed")


def _action(row: Row, of: str) -> ActionRecord:
    return ActionRecord(
        target=row[f"{of}target"], precision=row[f"{of}precision"], frequency_hz=row[f"{of}frequency_hz"]
    )


def _energy(row: Row) -> EnergyRecord:
    return EnergyRecord(
        energy_j=row["energy_j"],
        standard_uncertainty_j=row["energy_standard_uncertainty_j"],
        budget_j=json.loads(row["energy_budget_json"]),
        window_energy_j=row["window_energy_j"],
        idle_subtracted_j=row["idle_subtracted_j"],
        idle_subtracted_standard_uncertainty_j=row["idle_subtracted_standard_uncertainty_j"],
        frame_energy_j=row["frame_energy_j"],
        present=row["energy_coverage"],
        window_s=row["window_s"],
        mean_power_w=row["mean_power_w"],
        peak_power_w=row["peak_power_w"],
        baseline_power_w=row["baseline_power_w"],
    )


def _clock(row: Row, whose: str) -> ClockFit | None:
    if row[f"{whose}_offset_ns"] is None:
        return None
    return ClockFit(
        offset_ns=row[f"{whose}_offset_ns"],
        drift=row[f"{whose}_drift"],
        uncertainty_s=row[f"{whose}_standard_uncertainty_s"],
        residual_s=row[f"{whose}_residual_s"],
    )


def _block(row: Row) -> BlockRecord:
    clocks = {whose: fit for whose in ("board", "monitor") if (fit := _clock(row, whose))}
    marks = _clock(row, "marks")
    condition = json.loads(row["condition_json"])
    return BlockRecord(
        block=row["block"],
        phase=row["phase"],
        environment=row["environment"],
        condition=ConditionRecord(**{**condition, "strayed": tuple(condition["strayed"])}),
        clocks=clocks,
        marks=MarksRecord(method=row["marks_method"], fit=marks, note=row["marks_note"]) if marks else None,
        started=row["started"],
        start_ns=row["start_ns"],
    )
