"""The virtual cloud: real outputs, the machine's time, and its ways to fail."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, Session, TargetFailed, Tensors
from testbed.agent.targets.kserve import RemoteTarget
from testbed.serve import TensorSpec
from testbed.virtual.cloud import Pace, RememberingEngine
from testbed.virtual.machines import MACHINES

MODULE = "testbed.virtual.cloud"


def arguments(path: Path, *more: str) -> list[str]:
    return [f"--model=mean-fp32={path}", "--macs=mean-fp32=4e10", *more]


def session(url: str, model: Model, timeout_s: float = 10.0) -> Session:
    return RemoteTarget(url, MonotonicClock(), timeout_s).load(model, "fp32")


class Counting:
    platform = "test"
    inputs = (TensorSpec("x", "FP32", (2,)),)
    outputs = (TensorSpec("y", "FP32", (2,)),)

    def __init__(self) -> None:
        self.computed: list[list[float]] = []

    def infer(self, inputs: Tensors) -> dict[str, Any]:
        self.computed.append(inputs["x"].tolist())
        return {"y": 2 * inputs["x"]}


def test_each_input_is_computed_once() -> None:
    engine = Counting()
    remembering = RememberingEngine(engine, most=2)
    one, two, three = (np.array([k, 0], np.float32) for k in (1, 2, 3))
    for x in (one, two, one.copy(), two, three, two, one):
        np.testing.assert_array_equal(remembering.infer({"x": x})["y"], 2 * x)
    assert engine.computed == [[1, 0], [2, 0], [3, 0], [1, 0]]  # the oldest of three was forgotten


def test_the_same_bytes_in_another_form_are_another_input() -> None:
    engine = Counting()
    remembering = RememberingEngine(engine)
    x = np.zeros(4, np.float32)
    for form in (x, x.reshape(2, 2), x.view(np.int32), x.view(np.float64)):
        remembering.infer({"x": form})
    assert len(engine.computed) == 4


def test_a_reply_is_held_back_for_the_service_time_drawn() -> None:
    machine = MACHINES["a30"]
    pace = Pace(machine, {"net-fp16": (5e9, "fp16")}, seed=2)
    law = np.random.default_rng(2)
    clock = MonotonicClock()
    for _ in range(3):
        start_ns = clock.now_ns()
        pace("net-fp16", start_ns)
        (service_s,) = machine.service_s(law, 5e9, "fp16", 1)
        assert (clock.now_ns() - start_ns) * 1e-9 >= service_s - 1e-9


def test_real_outputs_no_sooner_than_the_machine(program: Any, mean_path: Path, mean_model: Model) -> None:
    least_s = 0.5 * MACHINES["a30"].mean_s(4e10, "fp32")
    with program(MODULE, *arguments(mean_path)) as (process, url):
        remote = session(url, mean_model)
        remote.warm(mean_model.inputs)
        for tensors in mean_model.inputs:
            result = remote.run(tensors)
            np.testing.assert_allclose(result.outputs["mean"], tensors["image"].mean((2, 3)), rtol=1e-5)
            assert (result.end_ns - result.start_ns) * 1e-9 > least_s
        remote.close()
        process.stdin.close()
        assert process.wait(10) == 0


def test_it_dies_after_so_many_replies(program: Any, mean_path: Path, mean_model: Model) -> None:
    with program(MODULE, *arguments(mean_path, "--fault=die", "--after=2")) as (process, url):
        remote = session(url, mean_model)
        remote.warm(mean_model.inputs)
        with pytest.raises(TargetFailed):
            remote.run(mean_model.inputs[0])
        assert process.wait(10) == 1
        remote.close()


def test_it_hangs_on_a_signal_and_still_ends_when_told(program: Any, mean_path: Path, mean_model: Model) -> None:
    with program(MODULE, *arguments(mean_path, "--fault=hang")) as (process, url):
        remote = session(url, mean_model)
        remote.run(mean_model.inputs[0])
        process.send_signal(signal.SIGUSR1)
        impatient = session(url, mean_model, timeout_s=0.3)
        with pytest.raises(TargetFailed, match="no answer in time"):
            while True:  # until the signal is there
                impatient.run(mean_model.inputs[0])
        process.stdin.close()
        assert process.wait(10) == 0
        with pytest.raises(TargetFailed, match="refused"):
            remote.run(mean_model.inputs[0])


def test_it_refuses_connections_after_so_many_replies(program: Any, mean_path: Path, mean_model: Model) -> None:
    with program(MODULE, *arguments(mean_path, "--fault=refuse", "--after=1")) as (process, url):
        remote = session(url, mean_model)
        remote.run(mean_model.inputs[0])
        for _ in range(2):
            with pytest.raises(TargetFailed, match="refused"):
                remote.run(mean_model.inputs[0])
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--model=m-fp32={path}"], "no --macs for 'm-fp32'"),
        (["--model=m-fp8={path}", "--macs=m-fp8=1"], "a30 does not run fp8"),
        (["--model=m-fp32=/none.onnx", "--macs=m-fp32=1"], "/none.onnx cannot be loaded"),
    ],
)
def test_a_mistake_is_named(given: list[str], named: str, mean_path: Path) -> None:
    command = [sys.executable, "-m", MODULE, *(part.format(path=mean_path) for part in given)]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    assert ended.returncode == 1
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
