"""A virtual bench whose endpoint runs in a network namespace of its own, behind a wire that a real kernel shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from rich.console import Console

from results import Run
from testbed.cli.progress import RunDisplay
from testbed.config import load_bench, load_suite
from testbed.experiment import start
from tests.testbed.network.kernel.wires import run as command
from tests.testbed.network.kernel.wires import until

BENCH = """
name: wired
board: {kind: virtual, profile: jetson-agx-orin, supply_voltage_v: 15 V}
link: {kind: virtual}
endpoints: {cloud: {serve: virtual-gpu, timeout_s: 10 s}}
"""
SUITE = """
name: short
workloads: [{name: twice, model: {files: {fp32: twice.onnx}, accuracy: {fp32: 1}}, qos_s: 1 s, inputs: 1}]
environments: [{name: far, rssi_dbm: -68}]
actions: [cloud/fp32]
policies: [{name: cloud, trials: 2}]
repetitions: 1
warmup_trials: 0
profile_trials: 1
"""
SIDE = 160


def model(path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in "xy")
    twice = helper.make_tensor("twice", TensorProto.FLOAT, [SIDE, SIDE], 2 * np.eye(SIDE, dtype=np.float32).ravel())
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "twice"], ["y"])], "twice", [x], [y], [twice])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_a_virtual_bench_goes_through_the_kernel_and_says_so(tmp_path: Path) -> None:
    model(tmp_path / "twice.onnx")
    for name, text in (("bench.yaml", BENCH), ("suite.yaml", SUITE)):
        (tmp_path / name).write_text(text)
    before = command("ls", "/sys/class/net")
    bench, suite = load_bench(tmp_path / "bench.yaml"), load_suite(tmp_path / "suite.yaml")
    folder = start(bench, suite, 1, tmp_path, RunDisplay(Console(quiet=True)))
    until(lambda: command("ls", "/sys/class/net") == before)

    run = Run.read(folder)
    assert run.header.bench["link"]["by"] == "netem"
    assert run.header.provenance == "virtual"
    assert any("shaped by this host's kernel (netem)" in label for label in run.header.labels)
    sending_s = 8 * 4 * SIDE**2 / 11.44e6
    for trial in run.trials:
        assert trial.outcome == "ok"
        link = trial.condition.applied["link"]
        assert (link["source"], link["rssi_dbm"]) == ("read back from the kernel", -68.0)
        assert trial.latencies_s[0] > sending_s
        # The board idles at 13.2 W; its radio adds one or two for as long as it sends.
        assert trial.truth_energy_j / trial.latencies_s[0] > 13.3
