"""The engine on this host: real ONNX Runtime, a real server, real sensors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from scheduler.bayesian import Bayesian
from scheduler.contract import Action, Network, Task
from scheduler.engine import Engine
from scheduler.estimator import Estimator
from scheduler.fixed import RandomChoice, cloud
from scheduler.world import ExecutionFailed
from testbed.agent.affinity import Cores
from testbed.agent.boards.linux import knobs, open_board
from testbed.agent.boards.real import Parts, RealBoard
from testbed.agent.boards.settings import Settings, read_settings
from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, Observed, Setting, Target
from testbed.agent.embedding import BoardWorld
from testbed.agent.targets.kserve import RemoteTarget
from testbed.agent.targets.onnxruntime_cpu import OnnxRuntimeCpu
from testbed.agent.telemetry.throttling import KernelThrottling
from testbed.serve import InferenceServer, OnnxEngine

EXAMPLE = Path(__file__).parents[2] / "examples" / "embed_engine.py"
CPU, CLOUD = Action("cpu", "fp32"), Action("cloud", "fp32")
ENERGY = Estimator(3.0, {("cpu", "fp32", None): 5.0, ("cloud", "transmit", None): 1.0, ("cloud", "receive", None): 0.5})
PHOTO = {"image": np.ones((1, 3, 8, 8), np.float32)}


@pytest.fixture(scope="module")
def mean_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mean.onnx"
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    mean = helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, 3])
    node = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph([node], "g", [image], [mean])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def workload(mean_path: Path) -> tuple[Task, Model]:
    task = Task("mean", Network("mean", 1, 0, 0, 192, 768), 0.05, 0.5, {"fp32": 1.0})
    return task, Model("mean", {"fp32": mean_path}, 192, {"fp32": 1000}, [PHOTO])


@pytest.fixture
def board() -> Iterator[RealBoard]:
    with open_board({"threads": 1}) as board:
        yield board


def test_it_runs_on_the_host_and_in_the_cloud_and_survives_the_cloud(
    board: RealBoard, workload: tuple[Task, Model], mean_path: Path
) -> None:
    with ExitStack() as serving:
        server = serving.enter_context(InferenceServer({"mean-fp32": OnnxEngine(mean_path, threads=1)}))
        remotes = {"cloud": RemoteTarget(server.url, board.clock, timeout_s=5.0)}
        world = BoardWorld(board, [workload], [CPU, CLOUD], ENERGY, remotes)
        with world, Engine(world, RandomChoice(1), fallback=CPU) as engine:
            for _ in range(20):
                np.testing.assert_allclose(engine.infer("mean", PHOTO)["mean"], 1.0)
            assert {decision.action for decision in engine.decisions} == {CPU, CLOUD}
            for decision in engine.decisions:
                [(_, outcome)] = decision.runs
                assert 0.0 < outcome.latency_s < 5.0
                assert outcome.energy_j > 0.0
            serving.close()
            for _ in range(20):
                np.testing.assert_allclose(engine.infer("mean", PHOTO)["mean"], 1.0)
            assert engine.breakers == {"cpu": "closed", "cloud": "open"}


def test_a_server_that_does_not_serve_the_model_is_a_failed_target(
    board: RealBoard, workload: tuple[Task, Model], mean_path: Path
) -> None:
    with InferenceServer({"other": OnnxEngine(mean_path, threads=1)}) as server:
        remotes = {"cloud": RemoteTarget(server.url, board.clock, timeout_s=5.0)}
        with (
            BoardWorld(board, [workload], [CPU, CLOUD], ENERGY, remotes) as world,
            Engine(world, cloud(), fallback=CPU) as engine,
        ):
            np.testing.assert_allclose(engine.infer("mean", PHOTO)["mean"], 1.0)
            assert "mean-fp32" in engine.incidents[0]


def test_a_remote_target_serves_many_callers_at_once(
    board: RealBoard, workload: tuple[Task, Model], mean_path: Path
) -> None:
    """Each on a connection of its own: none reads another's answer."""
    with InferenceServer({"mean-fp32": OnnxEngine(mean_path, threads=1)}) as server:
        remotes = {"cloud": RemoteTarget(server.url, board.clock, timeout_s=5.0)}
        with BoardWorld(board, [workload], [CLOUD], ENERGY, remotes) as world:
            wrong: list[float] = []
            together = Barrier(4)

            def ask(value: float) -> None:
                together.wait(10.0)
                for _ in range(25):
                    outputs = world.execute(workload[0], CLOUD, {"image": PHOTO["image"] * np.float32(value)}).outputs
                    wrong.extend([value] * (not np.allclose(outputs["mean"], value)))

            threads = [Thread(target=ask, args=(float(value),)) for value in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20.0)
            assert not wrong
            assert not any(thread.is_alive() for thread in threads)


def this_host() -> tuple[Settings, Parts]:
    parts = Parts(lambda: knobs(Path("/")), KernelThrottling(Path("/")))
    return read_settings({"threads": 1}, "linux"), parts


class Clocked(RealBoard):
    """This host, with a clock that can be set."""

    def __init__(self) -> None:
        super().__init__(*this_host())
        self.settings: list[float | None] = []

    def set(self, setting: Setting) -> Observed:
        self.settings.append(setting.frequency_hz)
        return Observed(setting.processor, setting.frequency_hz)


def test_clocks_are_set_once_and_given_back(workload: tuple[Task, Model], mean_path: Path) -> None:
    task = workload[0]
    slow, fast = Action("cpu", "fp32", 1e9), Action("cpu", "fp32", 2e9)
    with Clocked() as board, InferenceServer({"mean-fp32": OnnxEngine(mean_path, threads=1)}) as server:
        remotes = {"cloud": RemoteTarget(server.url, board.clock, timeout_s=5.0)}
        with BoardWorld(board, [workload], [slow, fast, CLOUD], ENERGY, remotes) as world:
            for action in (slow, slow, fast, CLOUD, CLOUD, slow):
                world.execute(task, action, PHOTO)
            assert board.settings == [1e9, 2e9, None, 1e9]
        assert board.settings[-1] is None


def test_inferences_run_on_the_cores_of_the_bench_and_the_caller_gets_its_own_back(
    workload: tuple[Task, Model],
) -> None:
    before, core = os.sched_getaffinity(0), max(os.sched_getaffinity(0))
    seen: list[set[int]] = []

    class Watch(MonotonicClock):
        def now_ns(self) -> int:
            seen.append(os.sched_getaffinity(0))
            return super().now_ns()

    class Board(RealBoard):
        def target(self, name: str) -> Target:
            return OnnxRuntimeCpu(Watch(), 1, Cores([core]))

    with Board(*this_host()) as board, BoardWorld(board, [workload], [CPU], ENERGY) as world:
        world.execute(workload[0], CPU, PHOTO)
    assert seen
    assert all(cores == {core} for cores in seen)
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(
    find_spec("ncnn") is None or find_spec("pnnx") is None,
    reason="needs ncnn and pnnx: pip install ncnn; pip install --no-deps pnnx",
)
def test_engines_of_a_processor_share_its_clock(workload: tuple[Task, Model]) -> None:
    slow, fast, other = Action("cpu", "fp32", 1e9), Action("cpu", "fp32", 2e9), Action("cpu_ncnn", "fp32", 2e9)
    with Clocked() as board, BoardWorld(board, [workload], [slow, fast, other], ENERGY) as world:
        for action in (slow, fast, other, slow):
            np.testing.assert_allclose(world.execute(workload[0], action, PHOTO).outputs["mean"], 1.0)
        assert board.settings == [1e9, 2e9, 1e9]


def test_what_is_missing_is_named(board: RealBoard, workload: tuple[Task, Model]) -> None:
    with pytest.raises(ValueError, match="no such remote target"):
        BoardWorld(board, [workload], [CPU, CLOUD], ENERGY)
    dead = {"cloud": RemoteTarget("http://127.0.0.1:9", board.clock, timeout_s=1.0)}
    with (
        BoardWorld(board, [workload], [CLOUD], ENERGY, dead) as world,
        pytest.raises(ExecutionFailed, match="127.0.0.1:9") as failed,
    ):
        world.execute(workload[0], CLOUD, PHOTO)
    assert 0.0 < failed.value.latency_s < 5.0


def test_what_was_learnt_on_the_host_outlives_the_process(
    board: RealBoard, workload: tuple[Task, Model], tmp_path: Path
) -> None:
    beliefs = []
    for _ in range(2):
        policy = Bayesian([CPU])
        with (
            BoardWorld(board, [workload], [CPU], ENERGY) as world,
            Engine(world, policy, fallback=CPU, store=tmp_path / "learnt") as engine,
        ):
            beliefs.append(policy.beliefs(world.observe(workload[0]))()[CPU].latency_s)
            for _ in range(10):
                engine.infer("mean", PHOTO)
            measured_s = min(outcome.latency_s for decision in engine.decisions for _, outcome in decision.runs)
    untaught_s, taught_s = beliefs
    assert untaught_s is not None
    assert taught_s is not None
    assert abs(np.log(taught_s / measured_s)) < abs(np.log(untaught_s / measured_s))


def test_the_example_runs(tmp_path: Path) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(EXAMPLE)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])},
            capture_output=True,
            text=True,
            timeout=120.0,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "photo -> cpu/" in done.stdout
        assert "cpu/int8" in done.stdout
        assert [path.name for path in tmp_path.iterdir()] == ["photo.learnt"]
