"""A whole run on a bench with a netem link: its endpoint in another namespace, the board's own interface shaped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from rich.console import Console

from results import Run
from testbed.agent.contract import Tensors
from testbed.cli.progress import RunDisplay
from testbed.experiment import resume
from testbed.network.netem import RADIO_LABEL
from testbed.serve import InferenceServer
from testbed.serve.engine import TensorSpec
from tests.testbed.network.kernel.programs import Program, command_line, program
from tests.testbed.network.kernel.wires import FAR_ADDRESSES, NEAR, PORT, Wire, kernel_state, until

BENCH = f"""
name: wired
board: {{kind: linux, supply_voltage_v: 12 V}}
link: {{kind: netem, interface: {NEAR}, at: board, probe: true}}
endpoints: {{cloud: {{url: "http://{FAR_ADDRESSES[4]}:{PORT}", timeout_s: 30 s}}}}
"""
SUITE = """
name: short
workloads: [{name: twice, model: {files: {fp32: twice.onnx}, accuracy: {fp32: 1}}, qos_s: 1 s, inputs: 1}]
environments: [{name: far, rssi_dbm: -73}]
actions: [cloud/fp32]
policies: [{name: cloud, trials: 4}]
repetitions: 1
warmup_trials: 0
profile_trials: 1
"""
SIDE = 64
DEVICES = Path("/sys/class/net")
WARMING = 1
"""requests before the first trial"""


class Doubtful:
    """Doubles a matrix, as often as it may."""

    platform = "test"
    inputs = (TensorSpec("x", "FP32", (SIDE, SIDE)),)
    outputs = (TensorSpec("y", "FP32", (SIDE, SIDE)),)

    def __init__(self) -> None:
        self._asked, self.may = threading.Semaphore(0), threading.Semaphore(0)

    def answer(self, count: int) -> None:
        """So many requests; returns when the next one waits, and what the last was for is on record."""
        self.may.release(count)
        for _ in range(count + 1):
            assert self._asked.acquire(timeout=60)

    def infer(self, inputs: Tensors) -> Mapping[str, Any]:
        self._asked.release()
        self.may.acquire(timeout=60)
        return {"y": 2 * inputs["x"]}


@pytest.fixture
def engine(a_wire: Wire) -> Iterator[Doubtful]:
    made = Doubtful()
    with a_wire.far.call(partial(InferenceServer, {"twice-fp32": made}, FAR_ADDRESSES[4], PORT, walled=True)):
        yield made
        made.may.release(100)  # leaving waits for what is being answered


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in "xy")
    twice = helper.make_tensor("twice", TensorProto.FLOAT, [SIDE, SIDE], 2 * np.eye(SIDE, dtype=np.float32).ravel())
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "twice"], ["y"])], "twice", [x], [y], [twice])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "twice.onnx"
    )
    (tmp_path / "bench.yaml").write_text(BENCH)
    (tmp_path / "suite.yaml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_shaped_probed_and_broken_off_at_will(
    a_wire: Wire, engine: Doubtful, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before, devices = kernel_state(), set(DEVICES.iterdir())
    with program(command_line, "run", "suite.yaml", "--bench", "bench.yaml") as running:
        engine.answer(WARMING + 2)
        assert set(DEVICES.iterdir()) != devices
        running.send_signal(signal.SIGSTOP)
        assert until(lambda: set(DEVICES.iterdir()) == devices) < 5.0
        engine.may.release()
        running.send_signal(signal.SIGCONT)
        assert ended(running) == 1
    assert f"the link: on the board: {NEAR} was given back" in capfd.readouterr().err
    (run,) = (folder / "runs").iterdir()
    for number, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        with program(command_line, "run", "--resume", str(run)) as running:
            engine.answer(WARMING + 1)
            assert set(DEVICES.iterdir()) != devices
            running.send_signal(number)
            engine.may.release()
            assert ended(running) == status
            until(lambda: set(DEVICES.iterdir()) == devices)
    engine.may.release(100)
    read = Run.read(resume(run, RunDisplay(Console(quiet=True))))
    assert kernel_state() == before
    assert read.complete
    assert read.header.labels == (RADIO_LABEL,)
    for trial in read.trials:
        asked, applied = trial.condition.asked["link"], trial.condition.applied["link"]
        assert asked["rssi_dbm"] == -73.0
        assert applied["source"] == "read back from the kernel"
        assert applied["rate_up_bps"] == pytest.approx(asked["rate_up_bps"])
        assert applied["delay_s"] == pytest.approx(asked["delay_s"])
        assert trial.condition.observed["link"]["goodput_up_bps"] < 2 * asked["rate_up_bps"]
        assert trial.latencies_s[0] > asked["delay_s"]
        assert trial.radio_penalty_j > 0.005


def ended(running: Program) -> int | None:
    running.process.join(60)
    return running.process.exitcode
