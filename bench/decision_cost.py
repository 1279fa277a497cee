"""What a decision costs: the time of each policy, the size of what it learns, and an engine's CPU time.

All policies meet the same 640 states of ten networks and 66 actions, those of AutoScale's high-end phone. They take
turns, so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper

from bench.figure import Figure
from scheduler.bayesian import Bayesian
from scheduler.contract import Action, EnergyEstimator, Network, Outcome, Policy, State, Task
from scheduler.engine import Engine
from scheduler.estimator import Estimator
from scheduler.features import PUBLISHED_BINS, RowIndex, as_numbers
from scheduler.linucb import LinUcb
from scheduler.qlearning import AutoScale
from scheduler.rewards import PublishedReward
from scheduler.world import Execution, Tensors
from testbed.agent.boards.linux import open_board
from testbed.agent.contract import Model
from testbed.agent.embedding import BoardWorld

TURNS, DECISIONS = 12, 400
"""turns of each policy, and decisions in each; the first turn is left out"""
RUNS, INFERENCES = 24, 200
"""runs with and without the engine by turns, and inferences in each"""
ACCURACY = {"fp32": 0.76, "fp16": 0.758, "int8": 0.71}
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


def phone() -> tuple[Action, ...]:
    """The 66 actions of AutoScale's high-end phone (Kim and Wu, MICRO 2020) (recalled); its DSP as our "dla0"."""
    cpu = [Action("cpu", precision, (0.6 + 0.1 * i) * 1e9) for precision in ("fp32", "int8") for i in range(23)]
    gpu = [Action("gpu", precision, (0.3 + 0.1 * i) * 1e9) for precision in ("fp32", "fp16") for i in range(7)]
    edge = [Action("edge", precision) for precision in ACCURACY]
    return (*cpu, *gpu, Action("dla0", "int8"), *edge, Action("cloud", "fp32"), Action("cloud", "fp16"))


ACTIONS = phone()


def states(random: Random) -> list[State]:
    """64 conditions of each of ten networks, shuffled."""
    tasks = [
        Task(f"task{i}", Network(f"network{i}", 20 + 8 * i, 1, 0, 250_000_000 * (i + 1), 150_528), 0.05, 0.7, ACCURACY)
        for i in range(10)
    ]
    made = [
        State(task, random.random(), random.random(), random.uniform(-90.0, -50.0), random.uniform(-70.0, -50.0))
        for task in tasks
        for _ in range(64)
    ]
    random.shuffle(made)
    return made


def outcome(state: State, action: Action, random: Random) -> Outcome:
    """Of a board on which all is about as fast; what is learnt matters less here than that something is."""
    slowness = 1.0 if action.frequency_hz is None else 3e9 / action.frequency_hz
    latency_s = state.task.network.macs / 2e11 * slowness * (1.0 + state.co_cpu) * random.lognormvariate(0.0, 0.03)
    return Outcome(latency_s, latency_s * 6.0 / slowness**0.5, ACCURACY[action.precision])


class NaiveTable:
    """Q-learning as one writes it down first: a numpy table, argmax over the row at each decision."""

    def __init__(self, seed: int) -> None:
        self._rows, self._reward, self._random = RowIndex(PUBLISHED_BINS), PublishedReward(), Random(seed).random
        self._table = np.zeros((PUBLISHED_BINS.rows, len(ACTIONS)))
        self._index = {action: i for i, action in enumerate(ACTIONS)}

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        if self._random() < 0.1:
            return actions[int(self._random() * len(actions))]
        return actions[np.argmax(self._table[self._rows(state)])]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        row, i = self._rows(state), self._index[action]
        target = self._reward(state.task, outcome) + 0.1 * np.max(self._table[row])
        self._table[row, i] += 0.9 * (target - self._table[row, i])


class VowpalWabbit:
    """`--cb_explore`, epsilon-greedy, on the state's eight numbers, through its text interface."""

    def __init__(self, seed: int) -> None:
        from vowpalwabbit import Workspace

        options = f"--cb_explore {len(ACTIONS)} --epsilon 0.1 --quiet --random_seed {seed}"
        self._workspace: Any = Workspace(options)
        self._reward, self._random = PublishedReward(), Random(seed)
        self._index = {action: i for i, action in enumerate(ACTIONS)}
        self._probability = 1.0

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        probabilities = self._workspace.predict(f"| {_text(state)}")
        [i] = self._random.choices(range(len(actions)), probabilities)
        self._probability = probabilities[i]
        return actions[i]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        cost = -self._reward(state.task, outcome)
        self._workspace.learn(f"{self._index[action] + 1}:{cost}:{self._probability} | {_text(state)}")


def _text(state: State) -> str:
    return " ".join(f"f{i}:{number:.4g}" for i, number in enumerate(as_numbers(state)))


@dataclass
class Cost:
    """Times of one policy, ns, with the stopwatch's own taken off."""

    select_ns: list[float] = field(default_factory=list)
    update_ns: list[float] = field(default_factory=list)

    @property
    def select_us(self) -> float:
        return median(self.select_ns) * 1e-3

    @property
    def update_us(self) -> float:
        return median(self.update_ns) * 1e-3

    @property
    def both_us(self) -> float:
        return median(map(sum, zip(self.select_ns, self.update_ns, strict=True))) * 1e-3


def measure(policies: dict[str, Policy], seed: int = 1) -> dict[str, Cost]:
    """Name -> cost, after each was through `TURNS` turns."""
    random = Random(seed)
    seen, costs, stopwatch_ns = states(random), {name: Cost() for name in policies}, _stopwatch_ns()
    for turn in range(TURNS):
        for name, policy in policies.items():
            for i in range(DECISIONS):
                state = seen[(turn * DECISIONS + i) % len(seen)]
                start_ns = time.perf_counter_ns()
                action = policy.select(state, ACTIONS)
                chosen_ns = time.perf_counter_ns()
                came = outcome(state, action, random)
                told_ns = time.perf_counter_ns()
                policy.update(state, action, came)
                end_ns = time.perf_counter_ns()
                if turn:
                    costs[name].select_ns.append(chosen_ns - start_ns - stopwatch_ns)
                    costs[name].update_ns.append(end_ns - told_ns - stopwatch_ns)
    return costs


def _stopwatch_ns() -> float:
    return median(-(time.perf_counter_ns() - time.perf_counter_ns()) for _ in range(2000))


_DRAWN_BY: dict[tuple[str, str, float | None], float] = {
    **{(action.target, action.precision, action.frequency_hz): 5.0 for action in ACTIONS},
    **{(target, way, None): 1.0 for target in ("edge", "cloud") for way in ("transmit", "receive")},
}
ENERGY = Estimator(idle_power_w=3.0, excess_power_w=_DRAWN_BY)


@dataclass
class Host:
    """This machine, where every action runs a small network on the CPU: deciding is all that differs."""

    board: BoardWorld
    actions: Sequence[Action] = ACTIONS
    energy: EnergyEstimator = ENERGY

    @property
    def tasks(self) -> dict[str, Task]:
        return dict(self.board.tasks)

    def observe(self, task: Task) -> State:
        return self.board.observe(task)

    def execute(self, task: Task, action: Action, inputs: Tensors) -> Execution:
        return self.board.execute(task, self.board.actions[0], inputs)


def overhead(policy: Policy) -> tuple[float, float | None]:
    """CPU time, s, and energy, J, that an engine adds to each inference; no energy without RAPL."""
    task = Task("mean", Network("mean", 1, 0, 0, 192, 768), 0.05, 0.5, ACCURACY)
    photo = {"image": np.ones((1, 3, 8, 8), np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        model = Model("mean", {"fp32": _small(Path(folder) / "mean.onnx")}, 192, {"fp32": 1000}, [photo])
        with open_board({"threads": 1}) as board:
            local = BoardWorld(board, [(task, model)], [Action("cpu", "fp32")], ENERGY)
            with local, Engine(Host(local), policy, fallback=ACTIONS[0]) as engine:
                with_engine, without = [], []
                for _ in range(RUNS):
                    with_engine.append(_spent(lambda: engine.infer("mean", photo)))
                    without.append(_spent(lambda: local.execute(task, local.actions[0], photo)))
    cpu_s = median(on[0] - off[0] for on, off in zip(with_engine, without, strict=True))
    joules = [on[1] - off[1] for on, off in zip(with_engine, without, strict=True) if isfinite(on[1])]
    return cpu_s, median(joules) if joules else None


def _spent(infer: Callable[[], object]) -> tuple[float, float]:
    start_j, start_s = _joules(), time.process_time()
    for _ in range(INFERENCES):
        infer()
    return (time.process_time() - start_s) / INFERENCES, (_joules() - start_j) / INFERENCES


def _joules() -> float:
    try:
        return int(RAPL.read_text()) * 1e-6
    except OSError:
        return nan


def _small(path: Path) -> Path:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    mean = helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, 3])
    node = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph([node], "mean", [image], [mean])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


class Sized(Protocol):
    """Knows the bytes of what it learns."""

    @property
    def nbytes(self) -> int: ...


def figures() -> list[Figure]:
    """Times, sizes and overhead."""
    ours = {"table": AutoScale(ACTIONS, 1), "bayesian": Bayesian(ACTIONS), "linucb": LinUcb(ACTIONS)}
    others: dict[str, Policy] = {"naive": NaiveTable(1)}
    with suppress(ImportError):
        others["vw"] = VowpalWabbit(1)
    costs = measure(ours | others)
    table, naive, bayesian, linucb = (costs[name] for name in ("table", "naive", "bayesian", "linucb"))
    return [
        _time("Q-learning select", table.select_us, f"naive numpy table {naive.select_us:.2f} us", 1.0),
        _time("Q-learning update", table.update_us, f"naive numpy table {naive.update_us:.2f} us", 3.0),
        _time("Q-learning select + update", table.both_us, "paper 25.4 us training, 10.6 us trained (unconfirmed)"),
        _vowpal_wabbit(costs.get("vw"), table.both_us),
        _time("Bayesian select + update", bayesian.both_us, "paper 25.4 us training (unconfirmed)", 30.0),
        _time("LinUCB select + update", linucb.both_us, f"Q-learning {table.both_us:.2f} us"),
        _size("Q-table", ours["table"], "paper 0.4 MB (unconfirmed)", 0.41e6),
        _size("Bayesian posterior, ten networks", ours["bayesian"], "Q-table above"),
        _size("LinUCB regressions", ours["linucb"], "Q-table above"),
        *_overhead("Q-learning", AutoScale(ACTIONS, 1)),
        *_overhead("Bayesian", Bayesian(ACTIONS)),
    ]


def _time(name: str, value: float, reference: str, most: float | None = None) -> Figure:
    goal = None if most is None else f"<= {most:g} us"
    holds = None if most is None else value <= most
    return Figure(
        name, value, "us", reference, goal, holds, f"median of {(TURNS - 1) * DECISIONS} decisions, this host"
    )


def _vowpal_wabbit(cost: Cost | None, ours_us: float) -> Figure:
    value, how = None, "not measured: vowpalwabbit is not installed; pip install vowpalwabbit"
    if cost is not None:
        value, how = cost.both_us, "--cb_explore 66 --epsilon 0.1, text interface; median, same run, this host"
    return Figure("Vowpal Wabbit select + update", value, "us", f"Q-learning {ours_us:.2f} us", None, None, how)


def _size(name: str, policy: Sized, reference: str, most: float | None = None) -> Figure:
    goal = None if most is None else f"<= {most * 1e-6:g} MB"
    holds = None if most is None else policy.nbytes <= most
    return Figure(name, float(policy.nbytes), "bytes", reference, goal, holds, f"{len(ACTIONS)} actions")


def _overhead(name: str, policy: Policy) -> list[Figure]:
    cpu_s, joules = overhead(policy)
    how = f"process time with less that without, median of {RUNS} pairs of {INFERENCES} inferences, this host"
    energy = "not measured: no monitor here, and no RAPL that may be read" if joules is None else f"RAPL package; {how}"
    return [
        Figure(f"engine, {name}: CPU time", cpu_s * 1e6, "us/inference", "observe + decide + learn", None, None, how),
        Figure(f"engine, {name}: energy", joules, "J/inference", None, None, None, energy),
    ]
