"""Runs whose energies are those of their samples, and datasets made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from results import RunStore
from results.dataset import About, export
from results.records import ActionRecord, ConditionRecord, RewardRecord, TrialRecord

POLICIES = ("edge-cpu-fp32", "autoscale", "opt")
BENCH = {"name": "desk", "board": {"kind": "virtual", "profile": "jetson-agx-orin"}, "monitor": {"kind": "ina-bridge"}}
SUITE = {"name": "synthetic", "workloads": [{"name": "mobilenet", "model": "mobilenet-v2"}]}

RunMaker = Callable[..., Path]


def varied(index: int, synthetic: ModuleType) -> TrialRecord:
    """One of many: all kinds and outcomes, learnt and not, with a link and without."""
    rng = np.random.default_rng(index)
    policy = POLICIES[index % 3] if index > 2 else None
    outcome = {11: "failed", 13: "refused", 20: "failed"}.get(index, "ok")
    link = {"rssi_dbm": -58.0, "rate_up_bps": 49e6, "rate_down_bps": 49e6, "delay_s": 0.003, "jitter_s": 0, "loss": 0.0}
    energy_j = 0.0125  # 5 W for 10 ms, by four
    trial = synthetic.trial(
        index,
        block=index // 10,
        kind="trial" if policy else "profile",
        policy=policy,
        environment="S1" if index % 2 else "S4",
        explored=policy == "autoscale" and index % 4 == 0,
        latencies_s=tuple(rng.uniform(0.002, 0.06, 4).tolist()),
        compute_s=0.008,
        qos_met=int(rng.integers(0, 5)),
        accuracy=None if outcome == "failed" else round(float(rng.uniform(0.6, 0.9)), 3),
        energy=synthetic.energy(energy_j, idle_subtracted_j=0.5 * energy_j) if index != 5 else None,
        estimated_energy_j=energy_j * float(rng.uniform(0.8, 1.2)),
        truth_energy_j=energy_j * float(rng.uniform(0.97, 1.03)),
        opt=synthetic.opt(float(rng.uniform(0.01, 0.02)), 0.01, met=bool(index % 5), feasible=bool(index % 7)),
        reward=RewardRecord(name="paper", value=-1.5) if policy == "autoscale" else None,
        radio_penalty_j=0.001 if index % 6 == 0 else None,
        condition=ConditionRecord(
            asked={"co_runner": {"cpu": 0.75, "memory": 0.2}, "link": {**link, "source": "measured by others"}},
            applied={"co_runner": {"cpu": 0.74, "memory": 0.2}, "link": {**link, "delay_s": 0.0031}},
            observed={},
            strayed=("cloud: delay 9 ms, asked 3 ms",) if index == 8 else (),
        ),
        observed={"frequency_hz": 1.5e9, "temperature_c": 39.5, "throttled": False, "rssi_dbm": -57.0},
        outcome=outcome,
        note="" if outcome == "ok" else "the endpoint gave no answer",
    )
    if index == 16:
        nothing = {
            "n": 0,
            "latencies_s": (),
            "qos_met": 0,
            "accuracy": None,
            "energy": None,
            "learnt": None,
            "opt": None,
        }
        return replace(trial, action=None, state={}, observed={}, reward=None, clock=None, outcome="lost", **nothing)
    if policy == "opt" and trial.opt:
        return replace(trial, action=ActionRecord(target="gpu", precision="fp16", frequency_hz=None))
    return trial if policy else replace(trial, learnt=None, clock=None)


@pytest.fixture(scope="session")
def make_run(synthetic: ModuleType) -> RunMaker:
    """Writes a run folder of `count` varied trials; further words change its header."""

    def make(path: Path, count: int = 40, planned: int | None = None, **changes: object) -> Path:
        header = synthetic.header(**{"bench": BENCH, "suite": SUITE, **changes})
        with RunStore.create(path, header, synthetic.plan(planned or count)) as store:
            store.append_block(synthetic.block())
            for index in range(count):
                channels = synthetic.columns(synthetic.lead_in_ns(index), first=20 * index)
                store.append(varied(index, synthetic), channels)
            if planned is None:
                store.finish()
        return path

    return make


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, make_run: RunMaker) -> list[Path]:
    """Of two boards: one run finished, one not."""
    folder = tmp_path_factory.mktemp("runs")
    pi = {**BENCH, "board": {"kind": "virtual", "profile": "raspberry-pi-5"}}
    return [make_run(folder / "one"), make_run(folder / "two", 12, planned=15, bench=pi, seed=8)]


@pytest.fixture(scope="session")
def made(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their dataset, with CSV; not to be changed."""
    folder = tmp_path_factory.mktemp("made") / "dataset"
    export(runs, folder, About("two boards", "CC-BY-4.0", ("Ada",)), csv=True)
    return folder


@pytest.fixture
def inside(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the current folder."""
    monkeypatch.chdir(made)
    return made
