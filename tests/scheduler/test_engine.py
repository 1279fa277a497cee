from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler.bayesian import Bayesian
from scheduler.contract import Action, Outcome, Policy, State, Task
from scheduler.engine import Engine, EngineError
from scheduler.estimator import NotCalibratedError
from scheduler.fixed import RandomChoice, cloud
from scheduler.linucb import LinUcb
from scheduler.oracle import choose
from scheduler.qlearning import AutoScale
from scheduler.rewards import QosPenaltyReward
from scheduler.table import load_table
from scheduler.world import Execution, ExecutionFailed, Tensors

Law = Any
FALLBACK = Action("cpu", "fp32", 1.4e9)
INPUTS: Tensors = {"image": np.zeros(1)}


@dataclass
class Joules:
    """The law's own energy, as an estimator."""

    law: Law
    unknown: frozenset[Action] = frozenset()
    scale: float = 1.0

    def energy_j(self, state: State, action: Action, latency_s: float, transmit_s: float, receive_s: float) -> float:
        if action in self.unknown:
            raise NotCalibratedError(f"no power of {action}")
        return float(self.law.energy_j(state, action)) * self.scale


@dataclass
class Surroundings:
    """The analytic law as a world in which targets can die and sensors lie."""

    law: Law
    tasks: dict[str, Task]
    energy: Joules
    condition: dict[str, float] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    inside: Callable[[], object] = lambda: None
    broken_sensor: bool = False

    @property
    def actions(self) -> tuple[Action, ...]:
        return tuple(self.law.actions)

    def observe(self, task: Task) -> State:
        if self.broken_sensor:
            raise OSError("/proc/stat is gone")
        state: State = self.law.state(task)
        return replace(state, **self.condition)

    def execute(self, task: Task, action: Action, inputs: Tensors) -> Execution:
        self.inside()
        if action.target in self.dead:
            raise ExecutionFailed("no answer in time", 0.4)
        latency_s = self.law.run(self.law.state(task), action).latency_s
        return Execution({"ran on": np.array(str(action))}, latency_s, latency_s, 0.0, 0.0)


@pytest.fixture
def around(world: Law) -> Surroundings:
    tasks = [world.task("photo"), world.task("film", macs=4_000_000_000, qos_s=0.1)]
    return Surroundings(world, {task.name: task for task in tasks}, Joules(world))


def _ran_on(outputs: Tensors) -> str:
    return str(outputs["ran on"])


def test_it_observes_decides_runs_and_learns(around: Surroundings) -> None:
    with Engine(around, Bayesian(around.actions), fallback=FALLBACK) as engine:
        for _ in range(60):
            outputs = engine.infer("photo", INPUTS)
        decision = engine.decisions[-1]
    state = around.observe(around.tasks["photo"])
    assert _ran_on(outputs) == str(decision.action)
    opt = choose(state.task, around.law.means(state, around.actions))
    assert around.law.energy_j(state, decision.action) < 1.2 * around.law.energy_j(state, opt)
    [(action, outcome)] = decision.runs
    assert (action, outcome.failed, decision.problems) == (decision.action, False, [])
    assert outcome.energy_j == around.law.energy_j(state, action)


def test_a_failed_inference_runs_again_on_the_fallback(around: Surroundings) -> None:
    around.dead = {"cloud"}
    with Engine(around, cloud(), fallback=FALLBACK) as engine:
        outputs = engine.infer("photo", INPUTS)
        decision = engine.decisions[-1]
        assert engine.breakers["cloud"] == "open"
        assert any("cloud/fp32 gave no answer: no answer in time" in incident for incident in engine.incidents)
    assert _ran_on(outputs) == str(FALLBACK)
    assert [(action.target, outcome.failed) for action, outcome in decision.runs] == [("cloud", True), ("cpu", False)]
    assert decision.runs[0][1].latency_s == 0.4


def test_a_breaker_keeps_away_probes_and_closes(around: Surroundings) -> None:
    now = [0.0]
    with Engine(
        around, cloud(), fallback=FALLBACK, first_back_off_s=1.0, longest_back_off_s=3.0, now_s=lambda: now[0]
    ) as engine:

        def targets(times: int) -> list[str]:
            for _ in range(times):
                engine.infer("film", INPUTS)
            return [decision.action.target for decision in engine.decisions[-times:]]

        assert targets(3) == ["cloud"] * 3
        around.dead = {"cloud"}
        assert targets(10) == ["cloud"] + ["cpu"] * 9
        tries = []
        for _ in range(72):
            now[0] += 0.125
            tries.extend([now[0]] * (targets(1) == ["cloud"]))
        assert tries == [1.0, 3.0, 6.0, 9.0]  # 1 s, then 2, then never more than 3
        assert engine.breakers["cloud"] == "open"
        around.dead = set()
        now[0] += 3.0
        assert targets(1) == ["cloud"]
        assert engine.explain().grounds == "a probe of cloud"
        assert engine.breakers["cloud"] == "closed"


def test_only_one_inference_probes_at_a_time(around: Surroundings) -> None:
    now = [0.0]
    around.dead = {"cloud"}
    with Engine(around, cloud(), fallback=FALLBACK, now_s=lambda: now[0]) as engine:
        engine.infer("photo", INPUTS)
        now[0] = 5.0
        second: list[str] = []

        def meanwhile() -> None:
            around.inside = lambda: None
            assert engine.breakers["cloud"] == "half-open"
            second.append(_ran_on(engine.infer("photo", INPUTS)))

        around.inside, around.dead = meanwhile, set()
        assert _ran_on(engine.infer("photo", INPUTS)) == "cloud/fp32"
        assert second == [str(FALLBACK)]
        assert engine.breakers["cloud"] == "closed"


def test_a_probe_that_ends_in_a_mistake_of_the_caller_leaves_the_breaker_open(around: Surroundings) -> None:
    now = [0.0]
    around.dead = {"cloud"}
    with Engine(around, cloud(), fallback=FALLBACK, now_s=lambda: now[0]) as engine:
        engine.infer("photo", INPUTS)
        now[0] = 5.0

        def mistake() -> None:
            raise TypeError("no such input")

        around.inside = mistake
        with pytest.raises(TypeError):
            engine.infer("photo", INPUTS)
        assert engine.breakers["cloud"] == "open"


def test_a_dead_fallback_is_an_error(around: Surroundings) -> None:
    around.dead = {"cloud", "cpu"}
    with Engine(around, cloud(), fallback=FALLBACK) as engine, pytest.raises(ExecutionFailed):
        engine.infer("photo", INPUTS)


def test_where_every_target_is_out_of_order_the_fallback_is_tried_all_the_same(around: Surroundings) -> None:
    around.dead = {"cpu", "gpu", "dla0", "edge", "cloud"}
    with Engine(around, RandomChoice(1), fallback=FALLBACK, now_s=lambda: 0.0) as engine:
        for _ in range(30):
            with pytest.raises(ExecutionFailed):
                engine.infer("photo", INPUTS)
        around.dead = set()
        assert _ran_on(engine.infer("photo", INPUTS)) == str(FALLBACK)
        assert engine.explain().grounds == "the fallback"


class Guarded:
    """Says so when two threads are inside at once; takes what it is offered in turn."""

    def __init__(self) -> None:
        self._inside = threading.Lock()
        self.learnt = 0

    def select(self, state: State, actions: Any) -> Action:
        assert self._inside.acquire(blocking=False)
        self._inside.release()
        return FALLBACK

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        assert self._inside.acquire(blocking=False)
        self.learnt += 1
        self._inside.release()


def test_inferences_of_many_threads_run_side_by_side(around: Surroundings) -> None:
    together = threading.Barrier(4)
    around.inside = lambda: together.wait(10.0)  # returns only once four inferences are under way at once
    policy = Guarded()
    with Engine(around, policy, fallback=FALLBACK) as engine, ThreadPoolExecutor(4) as threads:
        outputs = list(threads.map(lambda _: engine.infer("photo", INPUTS), range(200)))
        numbers = [decision.number for decision in engine.decisions]
    assert len(outputs) == policy.learnt == 200
    assert numbers == list(range(1, 201))


@pytest.mark.parametrize(
    "condition",
    [{"co_cpu": float("nan")}, {"co_cpu": 1.2}, {"co_memory": -0.1}, {"rssi_dbm": 5.0}, {"peer_rssi_dbm": -200.0}],
)
def test_features_that_cannot_be_used_mean_the_fallback(around: Surroundings, condition: dict[str, float]) -> None:
    policy = Guarded()
    with Engine(around, policy, fallback=Action("dla0", "int8")) as engine:
        around.condition = condition
        assert _ran_on(engine.infer("photo", INPUTS)) == "dla0/int8"
        [problem] = engine.decisions[-1].problems
        assert next(iter(condition)) in problem
        assert str(engine.explain()).startswith("photo -> dla0/int8: the fallback")
    assert policy.learnt == 0


def test_a_sensor_that_cannot_be_read_means_the_fallback(around: Surroundings) -> None:
    around.broken_sensor = True
    with Engine(around, Guarded(), fallback=Action("dla0", "int8")) as engine:
        assert _ran_on(engine.infer("photo", INPUTS)) == "dla0/int8"
        assert "/proc/stat is gone" in engine.incidents[-1]


def test_actions_that_are_not_accurate_enough_are_never_taken(around: Surroundings) -> None:
    around.tasks = {"photo": around.law.task(accuracy_target=0.75)}
    with Engine(around, AutoScale(around.actions, 1, epsilon=1.0), fallback=FALLBACK) as engine:
        for _ in range(100):
            engine.infer("photo", INPUTS)
        assert {decision.action.precision for decision in engine.decisions} == {"fp32", "fp16"}
        reasons = {candidate.action: candidate.ruled_out for candidate in engine.explain().candidates}
    assert reasons[Action("dla0", "int8")] == "accuracy 0.71 is below 0.75"
    assert reasons[FALLBACK] is None


def test_where_no_action_meets_accuracy_the_most_accurate_run_and_it_is_recorded(around: Surroundings) -> None:
    around.tasks = {"photo": around.law.task(accuracy_target=0.99)}
    with Engine(around, RandomChoice(1), fallback=FALLBACK) as engine:
        for _ in range(20):
            engine.infer("photo", INPUTS)
        assert {decision.action.precision for decision in engine.decisions} == {"fp32"}
        assert "no action meets the accuracy target" in engine.decisions[-1].problems[0]


class Stubborn:
    def select(self, state: State, actions: Any) -> Action:
        raise ValueError("undecided")

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        raise ValueError("unteachable")


def test_a_policy_that_fails_costs_no_inference(around: Surroundings) -> None:
    with Engine(around, Stubborn(), fallback=FALLBACK) as engine:
        assert _ran_on(engine.infer("photo", INPUTS)) == str(FALLBACK)
        problems = engine.decisions[-1].problems
    assert [word in problem for word, problem in zip(("undecided", "unteachable"), problems, strict=True)] == [True] * 2


def test_an_outcome_without_a_sane_energy_is_not_learnt(around: Surroundings) -> None:
    policy = Guarded()
    with Engine(around, policy, fallback=FALLBACK) as engine:
        around.energy.scale = float("nan")
        engine.infer("photo", INPUTS)
        assert "not learnt from" in engine.incidents[-1]
    assert policy.learnt == 0


def test_what_is_amiss_shows_when_it_is_set_up(around: Surroundings) -> None:
    policy = RandomChoice(1)
    with pytest.raises(EngineError, match="the fallback npu/int8 is none of the world's actions"):
        Engine(around, policy, fallback=Action("npu", "int8"))
    around.energy.unknown = frozenset({Action("dla0", "int8")})
    with pytest.raises(EngineError, match="no energy of dla0/int8"):
        Engine(around, policy, fallback=FALLBACK)
    around.energy.unknown = frozenset()
    around.tasks["photo"] = replace(around.tasks["photo"], accuracy={"fp32": 0.7, "fp16": 0.7})
    with pytest.raises(EngineError, match="no accuracy at int8"):
        Engine(around, policy, fallback=FALLBACK)


def test_misuse_is_named(around: Surroundings, tmp_path: Path) -> None:
    engine = Engine(around, RandomChoice(1), fallback=FALLBACK)
    with pytest.raises(EngineError, match="use it in a with statement"):
        engine.infer("photo", INPUTS)
    with engine:
        with pytest.raises(EngineError, match="there is no task 'foto'; did you mean 'photo'"):
            engine.infer("foto", INPUTS)
        with pytest.raises(EngineError, match="nothing has been decided"):
            engine.explain()
    with (
        pytest.raises(EngineError, match="no such folder"),
        Engine(around, RandomChoice(1), fallback=FALLBACK, store=tmp_path / "none" / "learnt"),
    ):
        pass


def _policies(actions: tuple[Action, ...]) -> dict[str, Policy]:
    return {
        "table": AutoScale(actions, 1, reward=QosPenaltyReward()),
        "posterior": Bayesian(actions),
        "log": LinUcb(actions),
    }


@pytest.mark.parametrize("kept", ["table", "posterior", "log"])
def test_what_was_learnt_outlives_the_engine(around: Surroundings, tmp_path: Path, kept: str) -> None:
    store = tmp_path / "learnt"
    first, second, fresh = (_policies(around.actions)[kept] for _ in range(3))
    with Engine(around, first, fallback=FALLBACK, store=store) as engine:
        for i in range(60):
            engine.infer(("photo", "film")[i % 2], INPUTS)
    assert list(tmp_path.iterdir()) == [store]
    with Engine(around, second, fallback=FALLBACK, store=store) as engine:
        assert engine.incidents == ()
        for task in around.tasks.values():
            state = around.law.state(task)
            now, then, untaught = (policy.beliefs(state)() for policy in (second, first, fresh))  # type: ignore[attr-defined]
            assert now == then
            assert now != untaught
        engine.infer("photo", INPUTS)


def test_the_file_of_a_table_is_a_table(around: Surroundings, tmp_path: Path) -> None:
    policy = AutoScale(around.actions, 1)
    with Engine(around, policy, fallback=FALLBACK, store=tmp_path / "learnt") as engine:
        engine.infer("photo", INPUTS)
    np.testing.assert_array_equal(load_table(tmp_path / "learnt").codes, policy.table.codes)


@pytest.mark.parametrize("kept", ["table", "posterior", "log"])
@pytest.mark.parametrize("fault", ["actions", "damage", "version", "kind"])
def test_a_store_of_no_use_is_set_aside(around: Surroundings, tmp_path: Path, kept: str, fault: str) -> None:
    store = tmp_path / "learnt"
    with Engine(around, _policies(around.actions)[kept], fallback=FALLBACK, store=store) as engine:
        engine.infer("photo", INPUTS)
    content = store.read_bytes()
    changed = {
        "actions": content,
        "damage": content[:-20] + content[-19:],
        "version": _resealed(re.sub(rb'"version": \d', b'"version": 9', content)),
        "kind": b"another kind of file",
    }[fault]
    store.write_bytes(changed)
    if fault == "actions":
        around.law.speed_macs_per_s[("cpu", "fp32")] = 1e10
        actions = (*around.actions[:-1], Action("cloud", "int8"))
        around = _Reduced(around.law, around.tasks, around.energy, offered=actions)
    with Engine(around, _policies(around.actions)[kept], fallback=FALLBACK, store=store) as engine:
        [incident] = engine.incidents
        assert "starting untrained" in incident
        assert str(store) in incident
        engine.infer("photo", INPUTS)
    assert (tmp_path / "learnt.refused").read_bytes() == changed


@dataclass
class _Reduced(Surroundings):
    """With other actions."""

    offered: tuple[Action, ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        return self.offered


def _resealed(content: bytes) -> bytes:
    from zlib import crc32

    return content[:-4] + crc32(content[:-4]).to_bytes(4, "little")


class Slow(Guarded):
    """A policy whose memory takes as long to encode as one lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoding, self.go_on = threading.Event(), threading.Event()

    def snapshot(self) -> Callable[[], bytes]:
        learnt = self.learnt

        def encode() -> bytes:
            self.encoding.set()
            assert self.go_on.wait(10.0)
            return str(learnt).encode()

        return encode

    def recall(self, content: bytes, name: str) -> None:
        self.learnt = int(content)


def test_saving_holds_no_inference_up(around: Surroundings, tmp_path: Path) -> None:
    store, policy = tmp_path / "learnt", Slow()
    with Engine(around, policy, fallback=FALLBACK, store=store, save_every_s=0.0) as engine:
        engine.infer("photo", INPUTS)
        assert policy.encoding.wait(10.0)
        for _ in range(5):
            engine.infer("photo", INPUTS)
        assert not store.exists()
        policy.go_on.set()
    assert store.read_bytes() == b"6"


def test_a_disk_that_is_gone_is_recorded(around: Surroundings, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with Engine(around, Guarded(), fallback=FALLBACK, store=folder / "learnt") as engine:
        engine.infer("photo", INPUTS)
        folder.rmdir()
    assert "could not be written" in engine.incidents[-1]


def test_bayesian_explains_what_it_believed_then(around: Surroundings) -> None:
    with Engine(around, Bayesian(around.actions), fallback=FALLBACK) as engine:
        for _ in range(30):
            engine.infer("photo", INPUTS)
        last = engine.decisions[-1]
        then = engine.explain()
        for _ in range(30):
            engine.infer("photo", INPUTS)
        assert engine.explain(last) == then
    state = around.observe(around.tasks["photo"])
    chosen = next(candidate for candidate in then.candidates if candidate.action == then.action)
    assert chosen.belief.latency_s == pytest.approx(around.law.spans(state, then.action)[0], rel=0.2)
    assert chosen.belief.energy_j == pytest.approx(around.law.energy_j(state, then.action), rel=0.2)
    assert (chosen.belief.p_qos or 0.0) > 0.98
    assert {candidate.action for candidate in then.candidates} == set(around.actions)
    slow = [candidate for candidate in then.candidates if candidate.ruled_out]
    assert all("P(QoS)" in (candidate.ruled_out or "") for candidate in slow)
    text = str(then)
    assert text.startswith(f"photo -> {then.action}: the policy's choice")
    assert f"> {then.action}" in text


def test_autoscale_and_linucb_explain_by_value(around: Surroundings) -> None:
    table = AutoScale(around.actions, 1, epsilon=0.0, reward=QosPenaltyReward(), initial=20.0)
    for policy in (table, LinUcb(around.actions, width=0.0)):
        with Engine(around, policy, fallback=FALLBACK) as engine:
            for _ in range(40):
                engine.infer("photo", INPUTS)
            explanation = engine.explain()
        values = {candidate.action: candidate.belief.value for candidate in explanation.candidates}
        assert max(values.values(), key=lambda value: value or -1e9) == values[explanation.action]
        assert not explanation.explored


def test_an_explanation_tells_of_an_open_breaker_and_a_failure(around: Surroundings) -> None:
    around.dead = {"cloud"}
    with Engine(around, cloud(), fallback=FALLBACK, now_s=lambda: 0.0) as engine:
        engine.infer("photo", INPUTS)
        assert "cloud/fp32 in vain for 400 ms; cpu/fp32@1400MHz in" in engine.explain().outcome
        engine.infer("photo", INPUTS)
        reasons = {candidate.action.target: candidate.ruled_out for candidate in engine.explain().candidates}
    assert reasons["cloud"] == "breaker open for 1 s more"
    assert reasons["edge"] is None
