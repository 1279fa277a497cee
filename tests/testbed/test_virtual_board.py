from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler.contract import Action, Network, Task
from testbed.agent.contract import Board, Controlled, CoRun, Model, Setting, Simulated
from testbed.agent.control.files import ControlRefused
from testbed.virtual.board import REGULAR_AIR, VirtualBoard, open_board


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return {
        "profile": "jetson-agx-orin",
        "supply": str(tmp_path / "supply"),
        "seed": 3,
        "clock_offset_s": 7.25,
        "clock_drift_ppm": 18.0,
    }


@pytest.fixture
def no_fuse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A search path without the program that mounts."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture(params=["files", "directly"])
def board(config: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[VirtualBoard]:
    """Set through its tree of files, and without."""
    if request.param == "directly":
        request.getfixturevalue("no_fuse")
    with open_board(config) as board:
        if request.param == "files" and board.identify().labels:
            pytest.skip(board.identify().labels[0])
        yield board


def test_is_a_board_that_knows_the_truth(board: VirtualBoard) -> None:
    as_board: Board = board
    assert isinstance(as_board, Simulated)
    identity = as_board.identify()
    assert identity.model == "virtual NVIDIA Jetson AGX Orin"
    assert identity.processors["gpu"] == ("fp32", "fp16", "int8")
    assert identity.frequencies_hz["gpu"][-1] == 1300.5e6
    assert isinstance(as_board, Controlled)


def test_shortened_time_constants_are_on_the_label(config: dict[str, Any]) -> None:
    with open_board({**config, "thermal_time_scale": 0.02}) as board:
        assert "thermal time constant x0.02" in board.identify().model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sede": 1}, "unknown key 'sede'; did you mean 'seed'"),
        ({"profile": "jetson-agx-orni"}, "no virtual board 'jetson-agx-orni'; did you mean 'jetson-agx-orin'"),
        ({"supply": None}, "supply is missing"),
        ({"thermal_time_scale": 0.0}, "thermal_time_scale is above 0"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_board({**config, **change})


def test_hands_out_real_outputs(board: VirtualBoard, model: Model) -> None:
    session = board.target("gpu").load(model, "int8")
    session.warm(model.inputs)
    for i, tensors in enumerate(model.inputs):
        assert session.run(tensors).outputs["y"].tolist() == [2.0 * i] * 4
    with pytest.raises(LookupError, match="warm the session"):
        session.run({"x": np.zeros(4, np.float32)})


def test_an_inference_lasts_as_planned_on_the_board_clock(board: VirtualBoard, model: Model) -> None:
    session = board.target("dla0").load(model, "int8")
    session.warm(model.inputs)
    before_ns = board.clock.now_ns()
    results = [session.run(model.inputs[0]) for _ in range(20)]
    assert before_ns <= results[0].start_ns
    for earlier, later in pairwise(results):
        assert earlier.start_ns < earlier.end_ns <= later.start_ns
    assert results[-1].end_ns <= board.clock.now_ns()
    assert results[0].spans[0].name == "compute"
    assert board.overshoot.inferences == 20
    assert board.overshoot.total_ns >= board.overshoot.worst_ns > 0


@pytest.mark.parametrize("co_run", [None, CoRun(0.75, 0.2)])
def test_latency_and_energy_are_those_of_the_truth(board: VirtualBoard, model: Model, co_run: CoRun | None) -> None:
    board.co_run(co_run)
    board.set(Setting("gpu", 612e6))
    session = board.target("gpu").load(model, "fp16")
    session.warm(model.inputs)
    results = [session.run(model.inputs[0]) for _ in range(300)]
    network = Network(model.name, 49, 1, 0, model.macs, 0)
    task = Task("camera", network, 0.033, accuracy_target=0.9, accuracy={"fp16": 0.99})
    (truth,) = board.true_means(task, [Action("gpu", "fp16", 612e6)])
    # Medians: a stall, rare as it is, outweighs a hundred inferences.
    latency_s = float(np.median([(result.end_ns - result.start_ns) * 1e-9 for result in results]))
    energy_j = float(np.median([board.true_energy_j(result.start_ns, result.end_ns) for result in results]))
    assert latency_s == pytest.approx(truth.latency_s, rel=0.05)
    assert energy_j == pytest.approx(truth.energy_j, rel=0.05)
    assert energy_j / latency_s == pytest.approx(truth.energy_j / truth.latency_s, rel=0.01)
    assert truth.p_qos > 0.99


def test_the_seed_decides_the_latencies(config: dict[str, Any], model: Model, tmp_path: Path) -> None:
    def latencies_s(supply: str, seed: int) -> list[float]:
        changed = {"supply": str(tmp_path / supply), "clock_drift_ppm": 0.0, "seed": seed}
        with open_board({**config, **changed}) as board:
            session = board.target("cpu").load(model, "int8")
            session.warm(model.inputs)
            results = [session.run(model.inputs[0]) for _ in range(9)]
            return [(result.end_ns - result.start_ns) * 1e-9 for result in results]

    first_s, again_s, other_s = latencies_s("a", 3), latencies_s("b", 3), latencies_s("c", 4)
    assert np.median(np.abs(np.subtract(first_s, again_s))) < 1e-6
    assert np.median(np.abs(np.subtract(first_s, other_s))) > 20e-6


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (Setting("gpu", 600e6), "gpu has no step at 600 MHz: the nearest is 612 MHz"),
        (Setting("npu", 1e9), "the frequency of 'npu' cannot be set on this board"),
    ],
)
def test_only_steps_can_be_set(board: VirtualBoard, setting: Setting, message: str) -> None:
    with pytest.raises(ControlRefused, match=message):
        board.set(setting)


def test_frequencies_are_read_back_and_given_back(board: VirtualBoard) -> None:
    assert board.set(Setting("gpu", 612e6 + 100)).frequency_hz == 612e6
    standing = board.standing()
    assert (standing.asked, standing.strayed, standing.throttling) == ({"gpu": 612e6}, (), ())
    board.set(Setting("gpu", None))
    assert board.standing().asked == {}
    board.tune("gpu", "408e6")
    assert board.standing().readings["gpu_hz"] == 408e6
    with pytest.raises(ControlRefused, match="gpu: 'fast' is no number"):
        board.tune("gpu", "fast")
    with pytest.raises(ControlRefused, match="this board has no knob 'npu'"):
        board.tune("npu", "1e9")
    board.restore()
    assert board.standing().asked == {}


def test_what_can_be_set_is_told(board: VirtualBoard) -> None:
    offered = board.offered()
    assert offered["clocks_hz"]["gpu"] == list(board.identify().frequencies_hz["gpu"])
    assert offered["cores_on"] == 12
    assert board.locked() == []
    assert board.sweep()["others_cpu"] == 0.0


@pytest.mark.parametrize("way", ["files", "directly"])
def test_a_hot_board_throttles(config: dict[str, Any], way: str, request: pytest.FixtureRequest) -> None:
    if way == "directly":
        request.getfixturevalue("no_fuse")
    with open_board({**config, "ambient_c": 90.0}) as board:
        assert board.observe().throttled
        assert board.set(Setting("gpu", 408e6)).frequency_hz == 408e6
        assert board.standing().strayed == ()
        assert board.set(Setting("gpu", 1300.5e6)).frequency_hz == 612e6
        standing = board.standing()
        assert standing.strayed == ("gpu: runs at 612 MHz, 1300.5 MHz asked",)
        assert standing.throttling


def test_without_fuse_a_board_is_set_directly_and_says_so(config: dict[str, Any], no_fuse: None) -> None:
    with open_board(config) as board:
        (label,) = board.identify().labels
        assert "dla0" not in board.identify().frequencies_hz
        with pytest.raises(ControlRefused, match="the clock of dla0 cannot be set: it runs at 1600 MHz"):
            board.set(Setting("dla0", 614e6))
    assert label == "clocks set without files: this host has no fusermount3; sudo apt-get install fuse3"
    with pytest.raises(ControlRefused, match="power mode, cores and governor need the board's files: .* fuse3"):
        open_board({**config, "power_mode": "15W"})


def test_a_board_warms_up_under_its_co_runner(config: dict[str, Any]) -> None:
    with open_board({**config, "thermal_time_scale": 1e-6}) as board:
        cold = board.observe().temperature_c
        board.co_run(CoRun(1.0, 1.0))
        board.clock.sleep_until(board.clock.now_ns() + 2_000_000)
        warm = board.observe().temperature_c
    assert cold is not None
    assert warm is not None
    assert warm > cold + 20


def test_readings_are_quantised_and_near(board: VirtualBoard) -> None:
    assert board.co_run(CoRun(0.75, 0.2)).cpu == 0.75
    readings = [board.observe() for _ in range(200)]
    assert all(reading.rssi_dbm == round(reading.rssi_dbm) for reading in readings)
    assert all(reading.co_cpu == round(reading.co_cpu, 2) for reading in readings)
    assert np.mean([reading.co_cpu for reading in readings]) == pytest.approx(0.75, abs=0.01)
    assert np.mean([reading.rssi_dbm for reading in readings]) == pytest.approx(-58.0, abs=0.5)
    assert len({reading.rssi_dbm for reading in readings}) > 2


def test_the_co_runner_draws_power(board: VirtualBoard) -> None:
    def power_w() -> float:
        now_ns = board.clock.now_ns()
        board.clock.sleep_until(now_ns + 1_000_000)
        return board.true_energy_j(now_ns, now_ns + 1_000_000) / 1e-3

    idle_w = power_w()
    assert idle_w == pytest.approx(board.profile.idle_w, rel=0.02)
    board.co_run(CoRun(0.5, 0.0))
    assert power_w() - idle_w == pytest.approx(0.5 * board.profile.cpu_full_w, rel=0.01)
    board.restore()
    assert power_w() == pytest.approx(idle_w, rel=0.01)
    with pytest.raises(ValueError, match=r"lie in 0\.\.1"):
        board.co_run(CoRun(1.5, 0.0))


def test_the_air_is_read_back_and_cleared(board: VirtualBoard) -> None:
    weak = asdict(REGULAR_AIR) | {"rssi_dbm": -82.0, "rate_up_bps": 1e6}
    assert board.set_air(weak, "edge") == weak
    assert board.observe().peer_rssi_dbm < -70 < board.observe().rssi_dbm
    board.restore()
    assert board.observe().peer_rssi_dbm > -70
    with pytest.raises(TypeError):
        board.set_air({"rssi_dbm": -60.0}, "cloud")
    with pytest.raises(ValueError, match="no air lies between the board and 'gpu'"):
        board.set_air(weak, "gpu")


def test_what_a_processor_cannot_run_is_refused_when_loaded(board: VirtualBoard, model: Model) -> None:
    with pytest.raises(ValueError, match="dla0 cannot run fp32"):
        board.target("dla0").load(model, "fp32")
    with pytest.raises(ValueError, match="has no bf16 file: it has fp32, fp16, int8"):
        board.target("gpu").load(model, "bf16")
    with pytest.raises(ValueError, match="has no processor 'npu'"):
        board.target("npu")
