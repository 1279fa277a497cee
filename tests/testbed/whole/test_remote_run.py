"""Whole runs on a server of other people: what does not fit is found before, what goes wrong later is on record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from results import Run
from tests.testbed.offloading.far_server import Answer, Asked, far_server, ok, usual
from tests.testbed.whole.conftest import CommandLine

BENCH = """
name: bench
board: {kind: linux, supply_voltage_v: 5 V}
endpoints: {cloud: {url: "URL", timeout_s: 1 s, token_env: MY_TOKEN, models: {net-fp32: net-fp32}}}
"""
SUITE = """
name: suite
workloads:
  - {name: net, model: {files: {fp32: net.onnx}, accuracy: {fp32: 1.0}}, qos_s: 50 ms, inputs: 1}
environments: [S1]
actions: [cloud/fp32]
policies: [{name: cloud, trials: 3}]
repetitions: 1
warmup_trials: 1
profile_trials: 1
guard_s: 12 ms
"""
METADATA = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4]}],
}
REPLY = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
TOLD = {"Server-Timing": "compute;dur=0.05"}


def prepare(line: CommandLine, url: str) -> tuple[str, ...]:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", values[:1], values[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, line.folder / "net.onnx")
    line.write("bench.yaml", BENCH.replace("URL", url))
    line.write("suite.yaml", SUITE)
    return "run", "suite.yaml", "--bench", "bench.yaml"


def holding(folder: Path, words: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and words.encode() in path.read_bytes()]


def test_what_goes_wrong_on_the_way_is_a_failed_trial_and_the_run_goes_on(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cret-of-mine")
    wrong = {"outputs": [{**REPLY["outputs"][0], "shape": [1, 2], "data": [1, 2]}]}
    replies: list[Answer] = [(200, TOLD, REPLY), (200, TOLD, REPLY), (200, TOLD, wrong), (200, {}, b"garbage")]

    def infer(asked: Asked) -> Answer:
        assert asked.headers["Authorization"] == "Bearer s3cret-of-mine"
        return replies.pop(0) if replies else (200, TOLD, REPLY)

    with far_server(usual(**{"net-fp32": ok(METADATA), "infer": infer})) as far:
        done = command_line.run(*prepare(command_line, far.url))
    assert done.returncode == 0, done.stderr
    run = Run.read(command_line.run_folder())
    failed = [trial for trial in run.trials if trial.outcome == "failed"]
    assert run.complete
    assert len(failed) == 2
    assert f"net-fp32 at {far.url}: output 'y' came as FP32 [1, 2]" in failed[0].note
    assert f"net-fp32 at {far.url}: the head is not JSON" in failed[1].note
    well = [trial for trial in run.trials if trial.outcome == "ok"]
    assert all(0 < trial.compute_s <= sum(trial.latencies_s) for trial in well)
    assert holding(command_line.folder, "s3cret-of-mine") == []
    command_line.ends()


def test_what_does_not_fit_is_found_before_anything_is_measured(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cret-of-mine")
    other = {**METADATA, "inputs": [{"name": "picture", "datatype": "FP32", "shape": [1, 4]}]}
    with far_server(usual(**{"net-fp32": ok(other), "infer": ok(REPLY)})) as far:
        done = command_line.run(*prepare(command_line, far.url))
        assert far.bodies("infer") == []
    assert done.returncode == 1
    assert "workload 'net' at fp32 on cloud cannot be measured" in done.stderr
    assert "model 'net-fp32' has no input 'x', it takes picture" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (command_line.folder / "runs").exists() or not any((command_line.folder / "runs").iterdir())
    command_line.ends()
