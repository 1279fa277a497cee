"""A run folder of as many trials as wanted, of lines that a run could have written; only the last has samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from results import RunHeader, RunStore, TrialRecord
from results.records import (
    ActionRecord,
    BlockRecord,
    ClockFit,
    ConditionRecord,
    EnergyRecord,
    MarksRecord,
    OptRecord,
    OutcomeRecord,
    to_json,
)
from results.samples import SCHEMA, batch_of, segment_path

POLICIES, ENVIRONMENTS, WORKLOADS = ("edge-cpu-fp32", "edge-best", "cloud", "autoscale", "opt"), 8, 4
TRIALS_OF_A_BLOCK, STEP_NS, SEED = 250, 100_000_000, 7
_CLOCK = ClockFit(offset_ns=12345, drift=1.8e-5, uncertainty_s=4e-5, residual_s=2e-6)
_LINK = {"rssi_dbm": -58.0, "rate_up_bps": 5e7, "rate_down_bps": 5e7, "delay_s": 0.003, "jitter_s": 0.002, "loss": 0.0}
_CONDITION = ConditionRecord(
    asked={"co_runner": {"cpu": 0.0, "memory": 0.0}, "link": _LINK, "peer_link": _LINK},
    applied={"co_runner": {"cpu": 0.0, "memory": 0.0}, "link": _LINK, "peer_link": _LINK},
    observed={"rssi_dbm": -59.0},
    strayed=(),
)


def make_run(path: Path, trials: int) -> Path:
    """A complete-looking run folder at `path`, of which every trial but one is on record; returns `path`."""
    with RunStore.create(path, header(), ({"index": index} for index in range(trials + 1))):
        pass
    with (path / "trials.jsonl").open("w") as lines, (path / "blocks.jsonl").open("w") as blocks:
        for index in range(trials):
            if index % TRIALS_OF_A_BLOCK == 0:
                blocks.write(to_json(_block(index)) + "\n")
            lines.write(to_json(trial(index)) + "\n")
    _write_samples(path, trials - 1)
    return path


def header() -> RunHeader:
    """Of a made-up run."""
    return RunHeader(
        created="2026-01-02T03:04:05+00:00",
        bench={"name": "made-up", "board": {"kind": "virtual", "profile": "jetson-agx-orin"}},
        suite={"name": "many-trials"},
        seed=SEED,
        versions={},
        host={},
        provenance="virtual",
        labels=(),
        calibrations=(),
        engines={},
        networks={},
        meter=None,
    )


def _start_ns(index: int) -> int:
    return 10**9 + index * STEP_NS


def _environment(index: int) -> str:
    return f"E{index // TRIALS_OF_A_BLOCK % ENVIRONMENTS}"


def _block(index: int) -> BlockRecord:
    return BlockRecord(
        block=index // TRIALS_OF_A_BLOCK,
        phase="begin",
        environment=_environment(index),
        condition=_CONDITION,
        clocks={"board": _CLOCK, "monitor": _CLOCK},
        marks=MarksRecord(method="line", fit=_CLOCK, note=""),
        started="2026-01-02T03:04:05+00:00",
        start_ns=_start_ns(index),
    )


def trial(index: int) -> TrialRecord:
    """The one of that number; its figures scatter, and are the same each time."""
    random = np.random.default_rng([SEED, index])
    policy = POLICIES[int(random.integers(len(POLICIES)))]
    energy_j = float(random.lognormal(-3, 0.3))
    latencies_s = tuple(random.lognormal(-5, 0.2, 4).tolist())
    action = ActionRecord(target=("cpu", "gpu", "cloud")[index % 3], precision="int8", frequency_hz=1.3e9)
    start_ns = _start_ns(index)
    return TrialRecord(
        index=index,
        block=index // TRIALS_OF_A_BLOCK,
        kind="trial",
        workload=f"workload-{int(random.integers(WORKLOADS))}",
        environment=_environment(index),
        policy=policy,
        state={"co_cpu": 0.0, "co_memory": 0.0, "rssi_dbm": -59.0, "peer_rssi_dbm": -58.0},
        action=action,
        explored=False,
        n=4,
        latencies_s=latencies_s,
        transmit_s=0.0,
        receive_s=0.0,
        compute_s=sum(latencies_s),
        qos_s=0.02,
        qos_met=4,
        accuracy=0.75,
        accuracy_target=0.7,
        start_ns=start_ns,
        end_ns=start_ns + 40_000_000,
        energy=EnergyRecord(
            energy_j=energy_j,
            standard_uncertainty_j=0.01 * energy_j,
            budget_j={"gain": 0.008 * energy_j, "edges": 0.006 * energy_j},
            window_energy_j=4 * energy_j,
            idle_subtracted_j=0.6 * energy_j,
            idle_subtracted_standard_uncertainty_j=0.02 * energy_j,
            frame_energy_j=None,
            present=1.0,
            window_s=0.04,
            mean_power_w=100 * energy_j,
            peak_power_w=120 * energy_j,
            baseline_power_w=2.0,
        ),
        estimated_energy_j=1.1 * energy_j,
        learnt=OutcomeRecord(latency_s=latencies_s[0], energy_j=energy_j, accuracy=0.75, failed=False),
        reward=None,
        opt=OptRecord(action=action, energy_j=energy_j, feasible=True, chosen_energy_j=energy_j, chosen_met=True),
        truth_energy_j=energy_j * float(random.normal(1, 0.01)),
        radio_penalty_j=None,
        condition=_CONDITION,
        observed={"frequency_hz": 1.3e9, "temperature_c": 40 + index % 50 / 10, "throttled": False, "rssi_dbm": -59.0},
        clock=_CLOCK,
        outcome="ok",
        note="",
    )


class TraceColumns:
    """Samples of one channel about a trial, from 20 ms before its window to 20 ms after it."""

    def __init__(self, trial: int, count: int) -> None:
        self.index = trial * count + np.arange(count, dtype=np.int64)
        at_ns = np.linspace(-20e6, 60e6, count)
        self.time_ns = _start_ns(trial) + at_ns.astype(np.int64)
        self.channel = np.zeros(count, np.uint8)
        self.power_w = np.where((at_ns >= 0) & (at_ns < 40e6), 8.0, 2.0)
        self.voltage_v = None
        self.current_a = None


def _write_samples(path: Path, trial: int) -> None:
    batch = batch_of(trial, TraceColumns(trial, 400))
    segment_path(path, 1).write_bytes(SCHEMA.serialize().to_pybytes() + batch.serialize().to_pybytes())
