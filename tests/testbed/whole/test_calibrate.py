from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from results import Run, RunStore, TrialRecord
from testbed import experiment
from testbed.calibrate import calibration
from testbed.calibrate.bench_end import BenchEnd
from testbed.calibrate.design import Condition, Plan
from testbed.calibrate.measurement import Measurement
from testbed.config import load_bench, load_suite
from testbed.errors import BenchError
from testbed.meter import Meter
from testbed.opening import Servers, open_bench
from testbed.plan import PlannedTrial
from tests.testbed.whole.conftest import CommandLine

BENCH = """
name: pi
board: {kind: virtual, profile: raspberry-pi-5, supply_voltage_v: 5.1 V, thermal_time_scale: 0.02}
monitor: {kind: ina-bridge, port: emulated, sensor: ina226, shunt_ohm: 15 mOhm, supply_voltage_v: 5.1 V}
link: {kind: virtual}
endpoints: {cloud: {serve: virtual-gpu, timeout_s: 1 s}}
"""
PLAN = Plan(
    name="small",
    cpu_steps=3,
    grid_steps=1,
    utilisations=(1.0,),
    network_steps=2,
    networks=("mobilenet-v2",),
    unseen_networks=(),
    unseen_steps=1,
    memory=(1.0,),
    rssi_dbm=(-58.0,),
    rate_shares=(1.0, 0.5),
    repetitions=(1, 1),
    half_width=0.05,
    sentinel_every=12,
    thermal_s=6.0,
)
SUITE = """
name: suite
workloads: [{name: photo, model: mobilenet-v2, qos_s: 50 ms, inputs: 2}]
environments: [S1]
actions: [cpu/fp32@max, cloud/fp32]
policies: [{name: autoscale, trials: 4}]
repetitions: 1
warmup_trials: 1
profile_trials: 0
"""
BREAK_OFF = 5


class Audience:
    """Interrupts after some measurements, as Ctrl-C would."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.folder: Path | None = None
        self.seen: list[Measurement] = []

    def step(self, text: str) -> None:
        pass

    def begins(self, folder: Path, left: int, left_s: float) -> None:
        assert left > 0
        assert left_s > 0.0
        self.folder = folder

    def measured(self, measurement: Measurement, left: int, left_s: float) -> None:
        self.seen.append(measurement)
        if len(self.seen) == self.most:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder that was broken off and gone on with by the command line, and the model that came of it."""
    folder = tmp_path_factory.mktemp("calibrated")
    (folder / "bench.yaml").write_text(BENCH)
    audience = Audience(BREAK_OFF)
    with pytest.raises(KeyboardInterrupt):
        calibration.start(load_bench(folder / "bench.yaml"), PLAN, 1, folder / "out", audience)
    assert audience.folder is not None
    line = CommandLine(folder)

    went_on = line.run("calibrate", "--resume", str(audience.folder))

    assert went_on.returncode == 0, went_on.stdout + went_on.stderr
    assert "measurements or more, about" in went_on.stdout
    assert "no measurements of hardware" in went_on.stdout
    line.ends()
    kept = [json.loads(text) for text in (audience.folder / "measurements.jsonl").read_text().splitlines()]
    assert [entry["condition"] for entry in kept[:BREAK_OFF]] == [m.condition.as_dict() for m in audience.seen]
    assert len(kept) > BREAK_OFF
    return audience.folder, json.loads((audience.folder / "power-model.json").read_text())


def test_a_calibration_finds_what_the_virtual_board_draws(calibrated: tuple[Path, dict[str, Any]]) -> None:
    folder, facts = calibrated
    assert calibration.fit(folder).facts == facts, "the same measurements make the same model"
    truth = facts["against_truth"]
    assert abs(truth["idle_relative"]) < 0.02
    assert abs(truth["busy_relative_worst"]) < 0.05, truth["busy_worst"]
    assert truth["held_out_mape"] < 0.05
    assert facts["provenance"] == "virtual"
    assert {p["precision"] for p in facts["processors"]} == {"fp32", "fp16", "int8"}
    assert facts["cpu"]["busy_core_w"] == sorted(facts["cpu"]["busy_core_w"])
    assert facts["thermal"]["resistance_k_per_w"] == pytest.approx(4.5, rel=0.25)
    assert facts["thermal"]["time_constant_s"] == pytest.approx(0.02 * 60.0, rel=0.5)
    assert 0.5 < facts["radio"]["cloud"]["receive_w"][0] < facts["radio"]["cloud"]["transmit_w"][0] < 1.5


class Onlooker:
    """Implements `experiment.Audience`."""

    def step(self, text: str) -> None:
        pass

    def run_begins(self, store: RunStore, meter: Meter | None) -> None:
        pass

    def trial_begins(self, planned: PlannedTrial) -> None:
        pass

    def waits(self, text: str) -> None:
        pass

    def trial_done(self, trial: TrialRecord) -> None:
        pass


def test_a_run_estimates_by_the_model_and_needs_no_profile(
    calibrated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "power-model.json").write_bytes((calibrated[0] / "power-model.json").read_bytes())
    (tmp_path / "bench.yaml").write_text(BENCH + "power_model: power-model.json\n")
    (tmp_path / "suite.yaml").write_text(SUITE)
    bench, suite = load_bench(tmp_path / "bench.yaml"), load_suite(tmp_path / "suite.yaml")

    run = Run.read(experiment.start(bench, suite, 1, tmp_path / "runs", Onlooker()))

    assert {trial.kind for trial in run.trials} == {"warmup", "trial"}
    assert any("estimated by the power model power-model.json (virtual" in label for label in run.header.labels)
    errors = [
        abs(trial.estimated_energy_j / trial.energy.energy_j - 1.0)
        for trial in run.trials
        if trial.kind == "trial" and trial.energy and trial.estimated_energy_j
    ]
    assert errors
    assert sorted(errors)[len(errors) // 2] < 0.1
    with pytest.raises(BenchError, match="profile_trials"):
        experiment.start(bench.model_copy(update={"power_model": None}), suite, 1, tmp_path / "runs", Onlooker())


def test_a_twin_of_the_board_can_be_opened_and_a_load_it_cannot_carry_is_told_of(
    calibrated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, facts = calibrated
    (tmp_path / "power-model.json").write_text(json.dumps(facts))
    (tmp_path / "bench.yaml").write_text(
        BENCH.replace("profile: raspberry-pi-5", "from: power-model.json").replace(", thermal_time_scale: 0.02", "")
    )
    bench = load_bench(tmp_path / "bench.yaml")

    with open_bench(bench, 1) as opened:
        assert opened.identity["model"].startswith("virtual twin of virtual Raspberry Pi 5")
        assert opened.identity["frequencies_hz"] == facts["board"]["frequencies_hz"]
        assert opened.monitor is not None
        with Meter(opened.monitor) as meter:
            meter.settle(opened.now_ns())
            end = BenchEnd(opened, meter, Servers({}, []), {})
            with pytest.raises(BenchError, match="'9 cores 100%' failed 3 times: .*there are 4; mend that"):
                end.measure(Condition("cpu", cores=9, utilisation=1.0), sentinel=False, before_s=0.0)
            loaded = end.measure(Condition("cpu", cores=4, utilisation=1.0), sentinel=False, before_s=0.0)
    assert loaded.excess_w == pytest.approx(facts["cpu"]["full_w"], rel=0.03)
    assert loaded.idle_w == pytest.approx(facts["idle"]["power_w"], rel=0.03)
    assert "twin built after the power model power-model.json" in bench.board.labels[0]


def test_a_bench_without_a_meter_cannot_be_calibrated(tmp_path: Path) -> None:
    bare = "\n".join(line for line in BENCH.splitlines() if not line.startswith("monitor"))
    (tmp_path / "bench.yaml").write_text(bare)
    with pytest.raises(BenchError, match="no monitor"):
        calibration.start(load_bench(tmp_path / "bench.yaml"), PLAN, 1, tmp_path, Audience(1))
