"""`testbed board` on a Jetson's tree, which a plug-in brings as a kind of board; and what the screen shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from rich.console import Console

from power import Channel, Kind, MonitorSpec, Samples
from results import Run
from testbed.by_hand import opener_here
from testbed.cli.board_screen import Watched, sparkline
from tests.testbed.boards import trees
from tests.testbed.boards.test_board_control import state

_PLUG_IN = """
from pathlib import Path
from typing import Literal
from testbed.boards.jetson import Jetson
class OnTree(Jetson):
    kind: Literal["on-tree"]
    root: str
    def agent_config(self, supply, seed):
        return {**super().agent_config(supply, seed), "root": self.root, "leases": self.root, "owner": "a hand"}
"""


class Hand:
    """Runs the command on a tree."""

    def __init__(self, folder: Path) -> None:
        self.root = trees.orin_jp6(folder / "root")
        trees.write(folder / "site/treeboard.py", _PLUG_IN)
        told = folder / "site/treeboard-1.dist-info"
        trees.write(told / "METADATA", "Metadata-Version: 2.1\nName: treeboard\nVersion: 1\n")
        trees.write(told / "entry_points.txt", "[testbed.boards]\non-tree = treeboard:OnTree\n")
        self._env = os.environ | {"PYTHONPATH": str(folder / "site")}
        block = f"{{kind: on-tree, root: {self.root}, supply_voltage_v: 19, power_mode: 15W}}"
        self._bench = trees.write(folder / "bench.yaml", f"name: tree\nboard: {block}\n")

    def __call__(self, verb: str, *arguments: str, status: int = 0) -> str:
        return self.testbed("board", verb, *arguments, status=status)

    def testbed(self, *arguments: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "testbed", *arguments, "--bench", str(self._bench)]
        done = subprocess.run(command, capture_output=True, text=True, env=self._env, check=False)
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout


@pytest.fixture
def hand(tmp_path: Path) -> Hand:
    return Hand(tmp_path)


def test_a_board_is_told_of_as_it_is_without_what_its_bench_asks_of_runs(hand: Hand) -> None:
    before = state(hand.root)
    told = json.loads(hand("info", "--json"))
    assert told["offered"]["power_mode"] == ["MAXN", "MODE_15W", "MODE_30W"]
    assert told["offered"]["caps_hz"]["dla0"] == [614.4e6, 1369.6e6, 1600e6]
    assert told["locked"] == []
    assert state(hand.root) == before


def test_knobs_are_turned_held_and_given_back(hand: Hand) -> None:
    before = state(hand.root)
    said = hand("set", "gpu=612MHz", "cores_on=8", "power_mode=maxn", "emc=2133e6", "--for", "0.1s")
    lines = said.splitlines()
    assert lines[:4] == ["gpu is set: 612 MHz", "cores_on is set: 8", "power_mode is set: MAXN", "emc is set: 2133 MHz"]
    # Nothing in the tree obeys: what is asked is not what runs, and a person is told.
    assert lines[4:-1] == ["but gpu: runs at 306 MHz, 612 MHz asked", "but cores on is 12, 8 asked"]
    assert lines[-1] == "the board is given back"
    assert state(hand.root) == before


def network(path: Path) -> Path:
    """Three means of a picture's colours."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    means = helper.make_tensor_value_info("means", TensorProto.FLOAT, [1, 3, 1, 1])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 3, 8, 8], np.full(576, 1 / 192, np.float32))
    graph = helper.make_graph([helper.make_node("Conv", ["image", "w"], ["means"])], "g", [image], [means], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


SUITE = """
name: steps
workloads: [{{name: mean, model: {{files: {{fp32: {model}}}, accuracy: {{fp32: 1}}}}, qos_s: 50 ms, inputs: 1}}]
environments: [S1]
actions: [cpu/fp32@2]
policies: [{{name: edge-cpu-fp32, trials: 1}}]
repetitions: 1
warmup_trials: 0
profile_trials: 1
"""


def test_a_run_records_what_was_asked_and_held_tags_what_was_off_and_gives_back(hand: Hand, tmp_path: Path) -> None:
    before = state(hand.root)
    suite = trees.write(tmp_path / "suite.yaml", SUITE.format(model=network(tmp_path / "means.onnx")))
    hand.testbed("run", str(suite), "--out", str(tmp_path / "runs"), status=4)
    assert state(hand.root) == before
    (folder,) = (tmp_path / "runs").iterdir()
    run = Run.read(folder)
    assert run.header.suite["actions"] == ["cpu/fp32@729.6MHz", "cpu/fp32@1728MHz"]  # as far as 15W goes
    slow = next(trial for trial in run.trials if trial.action.frequency_hz == 729.6e6)
    fast = next(trial for trial in run.trials if trial.action.frequency_hz == 1728e6)
    # The tree's clocks never move from 729.6 MHz.
    assert slow.condition.strayed == ()
    assert fast.condition.strayed[0] == "cpu0: runs at 729.6 MHz, 1728 MHz asked"
    told = slow.observed["board"]
    assert told["asked"] == {"power_mode": "MODE_15W", "cpu": 729.6e6}
    assert told["held"]["limits_hz"]["cpu4"] == [729.6e6, 729.6e6]
    assert told["after"]["tj-thermal_c"] == 50.25
    assert {trial.observed["switch_s"] is None for trial in run.trials} >= {False}


def test_what_cannot_be_is_one_line(hand: Hand) -> None:
    before = state(hand.root)
    said = hand("set", "gpu=612MHz", "cpu=1GHz", status=1)
    assert said == "error: cpu has no step at 1000 MHz: the nearest is 1113.6 MHz\n"
    assert state(hand.root) == before


def test_a_board_is_watched_in_lines_where_there_is_no_screen(hand: Hand) -> None:
    first = hand("watch", "--for", "0.2s").splitlines()[0]
    assert first.startswith("0.")
    assert "gpu_hz 306 MHz, gpu_load 44 %, cpu-thermal_c 47.5 °C, tj-thermal_c 50.2 °C" in first


@pytest.mark.parametrize(
    ("tree", "opener"),
    [(trees.orin_jp6, "jetson"), (trees.pi4, "raspberry_pi"), (trees.host, "linux")],
)
def test_this_machine_is_opened_as_what_it_is(root: Path, tree: trees.Tree, opener: str) -> None:
    assert opener_here(tree(root)) == f"testbed.agent.boards.{opener}:open_board"


SPEC = MonitorSpec(
    name="rails",
    rate_hz=100.0,
    channels=tuple(Channel(name, 0.01, 0.0, 0.0) for name in ("VDD_GPU", "VDD_CPU")),
    kind=Kind.AVERAGING,
    aperture_s=0.001,
    shortest_window_s=0.25,
    total=(0, 1),
)


def test_readings_and_rails_stand_on_one_time_axis() -> None:
    console = Console(width=140, force_terminal=False, record=True)
    times_ns = np.repeat(np.arange(1, 5) * 500_000_000, 2)
    channels = np.tile(np.array([0, 1], np.uint8), 4)
    power_w = np.array([1.0, 2.0, 1.0, 2.0, 3.0, 2.0, 3.0, 2.0])
    with Watched(console, 0, window_s=60.0) as display:
        for second in range(3):
            display.take(second * 1_000_000_000, {"gpu_hz": 306e6 * (second + 1), "others_cpu": 0.25})
        display.take_power(Samples(np.repeat(np.arange(4), 2), times_ns, channels, power_w), SPEC)
        console.print(display.table())
    text = console.export_text()
    assert "2.0 s: gpu_hz 918 MHz, others_cpu 25 %" in text
    rows = {line.split()[0]: line for line in text.splitlines() if line.split()[:1]}
    assert "918 MHz" in rows["gpu"]
    assert "▁▅█" in rows["gpu"]
    assert "306 MHz to 918 MHz" in rows["gpu"]
    assert "1.00 W to 3.00 W" in rows["VDD_GPU"]
    assert "3.00 W to 5.00 W" in rows["power"]


def test_a_flat_line_lies_low_and_gaps_stay_gaps() -> None:
    assert sparkline([None, 2.0, 2.0, None]) == " ▁▁ "
    assert sparkline([None]) == " "
