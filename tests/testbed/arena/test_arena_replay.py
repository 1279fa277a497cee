"""Recorded trials played again: only what was recorded, bad rows counted, gaps named."""

from __future__ import annotations

from pathlib import Path

import pytest

from results import ActionRecord, ConditionRecord, EnergyRecord, RunHeader, RunStore, TrialRecord
from scheduler.contract import Action
from testbed.arena import recorded, third_party
from testbed.arena.config import ArenaWorkload, Experiment, Layers
from testbed.arena.contract import Job
from testbed.arena.replay import Replay
from testbed.cli import run_command_line
from testbed.environments import ENVIRONMENTS
from testbed.errors import BenchError

PHOTO = ArenaWorkload(name="photo", model="mobilenet-v1", qos_s=0.05, accuracy_target=0.65)
CPU, GPU, CLOUD = ("cpu", "fp32", 2.2e9), ("gpu", "fp16", 1.3e9), ("cloud", "fp16", None)


def trial(index: int, action: tuple[str, str, float | None], environment: str, **changes: object) -> TrialRecord:
    latency_s = {"cpu": 0.04, "gpu": 0.01, "cloud": 0.03}[action[0]] * (1 + 0.01 * (index % 5))
    weak = environment == "S4"
    values: dict[str, object] = {
        "index": index,
        "block": 0,
        "kind": "trial",
        "workload": "photo",
        "environment": environment,
        "policy": "random",
        "state": {"co_cpu": 0.0, "co_memory": 0.0, "rssi_dbm": -82.0 if weak else -58.0, "peer_rssi_dbm": -58.0},
        "action": ActionRecord(target=action[0], precision=action[1], frequency_hz=action[2]),
        "explored": False,
        "n": 2,
        "latencies_s": (latency_s, 1.1 * latency_s),
        "transmit_s": 0.0,
        "compute_s": 0.0,
        "receive_s": 0.0,
        "qos_s": 0.05,
        "qos_met": 2,
        "accuracy": 0.71,
        "accuracy_target": 0.65,
        "start_ns": 1000,
        "end_ns": 2000,
        "energy": energy(20.0 * latency_s),
        "estimated_energy_j": None,
        "radio_penalty_j": None,
        "learnt": None,
        "reward": None,
        "opt": None,
        "truth_energy_j": None,
        "condition": ConditionRecord(
            asked={"link": {"rssi_dbm": -82.0 if weak else -58.0}}, applied={}, observed={}, strayed=()
        ),
        "observed": {},
        "clock": None,
        "outcome": "ok",
        "note": "",
    }
    return TrialRecord(**{**values, **changes})  # type: ignore[arg-type]


def energy(energy_j: float) -> EnergyRecord:
    return EnergyRecord(
        energy_j=energy_j,
        standard_uncertainty_j=0.01,
        budget_j={},
        window_energy_j=energy_j,
        idle_subtracted_j=None,
        idle_subtracted_standard_uncertainty_j=None,
        frame_energy_j=None,
        present=1.0,
        window_s=0.1,
        mean_power_w=20.0,
        peak_power_w=20.0,
        baseline_power_w=5.0,
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    header = RunHeader(
        created="2026-11-23T00:00:00+00:00",
        bench={},
        suite={},
        networks={},
        meter=None,
        seed=1,
        versions={},
        host={},
        provenance="measured",
        labels=(),
        calibrations=(),
        engines={},
    )
    plan = [(action, "S1") for action in (CPU, GPU, CLOUD) for _ in range(6)]
    plan += [(action, "S4") for action in (CPU, GPU) for _ in range(6)]
    records = [trial(index, *each) for index, each in enumerate(plan)]
    bad = [
        trial(len(plan), GPU, "S1", outcome="refused"),
        trial(len(plan) + 1, GPU, "S1", energy=None),
        trial(len(plan) + 2, GPU, "S1", latencies_s=(0.0, 0.01)),
        trial(len(plan) + 3, CLOUD, "S1", outcome="failed", qos_met=0, accuracy=None),
        trial(len(plan) + 4, GPU, "S1", outcome="lost", n=0, latencies_s=(), qos_met=0, accuracy=None, energy=None),
    ]
    with RunStore.create(tmp_path / "run", header, [{} for _ in (*records, *bad)]) as store:
        for record in (*records, *bad):
            store.append(record)
        store.finish()
        return store.path


def test_what_is_sampled_was_recorded(run_folder: Path, photo: Job) -> None:
    board = Replay(recorded.read(run_folder, [PHOTO]))
    episode = board.episode(photo, ENVIRONMENTS["S1"], 200, [1])
    cpu = Action(*CPU)
    known = {0.04 * (1 + 0.01 * i) * factor for i in range(5) for factor in (1.0, 1.1)}
    sampled = [episode.sample(t, cpu) for t in range(200)]
    assert {round(sample.latency_s, 9) for sample in sampled} == {round(each, 9) for each in known}
    assert episode.sample(3, cpu) == sampled[3]
    truth = episode.truths[0][cpu]
    assert truth.latency_s == pytest.approx(sum(s.latency_s for s in sampled) / 200, rel=0.02)
    assert truth.p_qos == 1.0
    assert episode.truths[0][Action(*CLOUD)].p_qos < 1.0
    assert board.idle_power_w == 5.0


def test_a_condition_offers_only_what_was_recorded_in_it(run_folder: Path, photo: Job) -> None:
    board = Replay(recorded.read(run_folder, [PHOTO]))
    assert set(board.episode(photo, ENVIRONMENTS["S4"], 1, [1]).truths[0]) == {Action(*CPU), Action(*GPU)}
    assert not board.has(photo, ENVIRONMENTS["D1"])


def test_what_is_dropped_or_missing_is_said(run_folder: Path) -> None:
    other = PHOTO.model_copy(update={"name": "other"})
    records = recorded.read(run_folder, [PHOTO, other])
    assert set(records.notes) == {
        "1 trials dropped: refused",
        "1 trials dropped: lost",
        "1 trials dropped: energy neither metered nor estimated",
        "1 trials dropped: latency or energy not above zero",
        "workload other: nothing recorded",
        "photo, S4: 1 of 3 pairs of action and condition have no recorded trial; "
        "0 of 1 conditions are left out for want of a choice",
    }
    assert records.provenance == "replay of run, a run measured on hardware"


TABLE = """board,model,target,precision,frequency_hz,latency_s,power_w,energy_j,accuracy
tx2,net,cpu,fp32,2.0e9,0.210,8.0,,0.76
tx2,net,gpu,fp16,1.3e9,0.020,,0.2,0.76
tx2,net,gpu,fp16,0.9e9,0.030,5.0,,0.76
tx2,net,gpu,fp16,0.7e9,0,5.0,,0.76
tx2,net,gpu,fp16,0.7e9,-0.03,5.0,,0.76
tx2,net,,fp16,0.7e9,0.03,5.0,,0.76
tx2,net,gpu,bf16,0.7e9,0.03,5.0,,0.76
tx2,net,gpu,fp16,0.7e9,0.03,,,0.76
tx2,net,gpu,fp16,0.7e9,nan,5.0,,0.76
tx2,net,gpu,fp16,0.7e9,0.03,5.0,,76
nano,net,gpu,fp16,0.9e9,0.1,5.0,,0.76
"""
NET = ArenaWorkload(
    name="photo", model="net", qos_s=0.05, layers=Layers(conv_layers=53, fc_layers=1, macs=4_000_000_000)
)


def test_a_table_of_others_is_read_and_its_bad_rows_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(TABLE)
    records = third_party.read(file, "tx2", [NET])
    energies = {str(trial.action): trial.sample.energy_j for trial in records.trials}
    assert energies == {
        "cpu/fp32@2000MHz": pytest.approx(1.68),
        "gpu/fp16@1300MHz": 0.2,
        "gpu/fp16@900MHz": pytest.approx(0.15),
    }
    assert set(records.notes) == {
        "2 rows dropped: latency_s not above zero",
        "1 rows dropped: no target",
        "1 rows dropped: precision is none of fp32, fp16, int8",
        "1 rows dropped: power_w is no number",
        "1 rows dropped: latency_s is no number",
        "1 rows dropped: accuracy outside 0..1",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("board,model\ntx2,net\n", "the column target, precision, latency_s, accuracy is missing"),
        (TABLE.replace("power_w", "watts"), "unknown column watts"),
        (TABLE.replace("tx2", "tx1"), "no usable row of board 'tx2'"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text(content)
    with pytest.raises(BenchError) as refusal:
        third_party.read(file, "tx2", [NET])
    assert message in str(refusal.value)
    with pytest.raises(BenchError, match="cannot be read"):
        third_party.read(tmp_path / "absent.csv", "tx2", [NET])


def test_a_network_without_a_precision_of_its_board_is_decided_among_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = """board,model,target,precision,latency_s,energy_j,accuracy
pi,both,cpu,fp32,0.06,0.3,0.72
pi,both,cpu,int8,0.03,0.2,0.71
pi,one,cpu,fp32,0.06,0.3,0.72
pi,one,gpu,fp32,0.04,0.1,0.72
"""
    (tmp_path / "table.csv").write_text(table)
    layers = "layers: {conv_layers: 27, fc_layers: 1, macs: 569000000}"
    file = tmp_path / "gaps.yaml"
    file.write_text(
        f"""
name: gaps
boards: [{{kind: table, name: pi, file: table.csv, board: pi}}]
workloads:
  - {{name: both, model: both, qos_s: 50 ms, accuracy_target: 0.7, {layers}}}
  - {{name: one, model: one, qos_s: 50 ms, accuracy_target: 0.7, {layers}}}
environments: [S1]
policies: [{{name: opt}}, {{name: bayesian}}, {{name: autoscale}}, {{name: static-best}}, {{name: knn}}]
seeds: 1
trials: 20
"""
    )
    assert run_command_line(["arena", str(file), "--out", str(tmp_path), "--workers", "1"]) == 0
    assert "one, S1: 1 of 3 pairs of action and condition have no recorded trial" in " ".join(
        capsys.readouterr().out.split()
    )


def test_runs_and_tables_compete_beside_each_other(
    experiment: Experiment, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.csv").write_text(TABLE.replace(",net,", ",mobilenet-v1,"))
    file = tmp_path / "replayed.yaml"
    file.write_text(
        """
name: replayed
boards:
  - {kind: run, name: recorded, folder: run}
  - {kind: table, name: tx2, file: table.csv, board: tx2}
workloads: [{name: photo, model: mobilenet-v1, qos_s: 50 ms, accuracy_target: 0.65}]
environments: [S1, S4]
policies: [{name: opt}, {name: bayesian}, {name: autoscale}]
seeds: 2
trials: 20
"""
    )
    assert run_command_line(["arena", str(file), "--out", str(tmp_path), "--workers", "1"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "replay of run, a run measured on hardware" in shown
    assert "replay of table.csv, a table of others' measurements" in shown
    assert "tx2: 2 rows dropped: latency_s not above zero" in shown
    assert "in simulation" not in shown
