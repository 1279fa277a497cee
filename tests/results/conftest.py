"""Synthetic records and runs: tests reach them through `synthetic`, the writer that tests kill imports this module."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from results.records import (
    ActionRecord,
    BlockRecord,
    ClockFit,
    ConditionRecord,
    EnergyRecord,
    MarksRecord,
    MeterRecord,
    NetworkRecord,
    OptRecord,
    OutcomeRecord,
    RunHeader,
    TrialRecord,
)
from results.run import Run
from results.store import RunStore

MS = 1_000_000
NETWORK = NetworkRecord(
    name="mobilenet-v2",
    conv_layers=52,
    fc_layers=1,
    rc_layers=0,
    macs=300_000_000,
    input_bytes=602_112,
    accuracy={"fp32": 0.75},
    sha256={"fp32": "0" * 64},
)


@dataclass(frozen=True)
class Columns:
    """Samples as a monitor's driver gives them."""

    index: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    channel: NDArray[np.uint8]
    power_w: NDArray[np.float64]
    voltage_v: NDArray[np.float64] | None = None
    current_a: NDArray[np.float64] | None = None


def columns(start_ns: int, count: int = 20, power_w: float = 5.0, first: int = 0) -> Columns:
    """`count` samples 1 ms apart from `start_ns`."""
    steps = np.arange(count, dtype=np.int64)
    return Columns(
        first + steps, start_ns + steps * MS, np.zeros(count, np.uint8), np.full(count, power_w), np.full(count, 5.0)
    )


def header(**changes: object) -> RunHeader:
    return replace(
        RunHeader(
            created="2025-05-01T12:00:00+00:00",
            bench={"board": {"kind": "virtual", "processors": ["cpu", "gpu"]}},
            suite={"name": "synthetic", "workloads": ["mobilenet"]},
            networks={"mobilenet": NETWORK},
            meter=MeterRecord(rate_hz=1000.0, aperture_s=0.001, channels=("supply",), total=(0,)),
            seed=7,
            versions={"python": "3.11"},
            host={"machine": "x86_64"},
            provenance="virtual",
            labels=("thermal constants shortened",),
            calibrations=(),
            engines={"cpu": "onnxruntime 1.32.0, 4 threads on any core, asleep while they wait"},
        ),
        **changes,
    )


def energy(energy_j: float = 0.1, **changes: object) -> EnergyRecord:
    return replace(
        EnergyRecord(
            energy_j=energy_j,
            standard_uncertainty_j=0.01 * energy_j,
            budget_j={"gain": 0.008 * energy_j, "edges": 0.006 * energy_j},
            window_energy_j=4 * energy_j,
            idle_subtracted_j=0.6 * energy_j,
            idle_subtracted_standard_uncertainty_j=0.02 * energy_j,
            frame_energy_j=None,
            present=1.0,
            window_s=0.01,
            mean_power_w=4 * energy_j / 0.01,
            peak_power_w=5 * energy_j / 0.01,
            baseline_power_w=2.0,
        ),
        **changes,
    )


def trial(index: int, **changes: object) -> TrialRecord:
    start_ns = (1000 + 20 * index) * MS
    return replace(
        TrialRecord(
            index=index,
            block=0,
            kind="trial",
            workload="mobilenet",
            environment="S1",
            policy="edge-cpu-fp32",
            state={"co_cpu": 0.0, "co_memory": 0.0, "rssi_dbm": -55.0, "peer_rssi_dbm": -50.0},
            action=ActionRecord(target="cpu", precision="fp32", frequency_hz=1.5e9),
            explored=False,
            n=4,
            latencies_s=(0.0025, 0.0024, 0.0026, 0.0025),
            transmit_s=0.0,
            compute_s=0.0,
            receive_s=0.0,
            qos_s=0.05,
            qos_met=4,
            accuracy=0.75,
            accuracy_target=0.7,
            start_ns=start_ns + 5 * MS,
            end_ns=start_ns + 15 * MS,
            energy=energy(),
            estimated_energy_j=0.11,
            learnt=OutcomeRecord(latency_s=0.0025, energy_j=0.05, accuracy=0.75, failed=False),
            reward=None,
            opt=OptRecord(
                action=ActionRecord(target="gpu", precision="fp16", frequency_hz=None),
                energy_j=0.05,
                feasible=True,
                chosen_energy_j=0.1,
                chosen_met=True,
            ),
            truth_energy_j=0.1,
            radio_penalty_j=None,
            condition=ConditionRecord(
                asked={"rssi_dbm": -55.0}, applied={"rssi_dbm": -55.0}, observed={"rssi_dbm": -56.0}, strayed=()
            ),
            observed={"frequency_hz": 1.5e9},
            clock=ClockFit(offset_ns=12345, drift=1e-6, uncertainty_s=1e-5, residual_s=2e-5),
            outcome="ok",
            note="",
        ),
        **changes,
    )


def block(number: int = 0) -> BlockRecord:
    return BlockRecord(
        block=number,
        phase="begin",
        environment="S1",
        condition=ConditionRecord(asked={}, applied={}, observed={}, strayed=()),
        clocks={"board": ClockFit(offset_ns=-5, drift=0.0, uncertainty_s=1e-5, residual_s=2e-5)},
        marks=MarksRecord(
            method="line", fit=ClockFit(offset_ns=7, drift=2e-5, uncertainty_s=4e-5, residual_s=6e-5), note=""
        ),
        started="2025-05-01T12:00:00+00:00",
        start_ns=0,
    )


def plan(count: int) -> list[dict[str, object]]:
    return [{"index": index} for index in range(count)]


def lead_in_ns(index: int) -> int:
    """When the samples of trial `index` begin, 5 ms before its window."""
    return (1000 + 20 * index) * MS


def record_all(store: RunStore, until: int) -> None:
    for index in range(len(store.trials), until):
        store.append(trial(index), columns(lead_in_ns(index), first=20 * index))


def unfinished_run(path: Path, planned: int = 6, done: int = 3) -> Path:
    with RunStore.create(path, header(), plan(planned)) as store:
        store.append_block(block())
        record_all(store, done)
    return path


def recorded(path: Path, *changes: dict[str, object], **header_changes: object) -> Run:
    """An unfinished run of one trial for each set of changes, without samples."""
    with RunStore.create(path, header(**header_changes), plan(len(changes) + 1)) as store:
        for index, change in enumerate(changes):
            store.append(trial(index, **change))
    return Run.read(path)


def opt(chosen_j: float, opt_j: float, *, met: bool = True, feasible: bool = True, target: str = "gpu") -> OptRecord:
    action = ActionRecord(target=target, precision="fp16", frequency_hz=None)
    return OptRecord(action=action, energy_j=opt_j, feasible=feasible, chosen_energy_j=chosen_j, chosen_met=met)


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The makers of this file."""
    return sys.modules[__name__]


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """A run of six planned trials with three done."""
    return unfinished_run(tmp_path / "run")
