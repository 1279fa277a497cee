"""The arena's loop is the agent's: the same observations and outcomes, the same decisions."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from scheduler import policies
from scheduler.contract import Action, Means, Network, Outcome, Policy, State, Task
from scheduler.replay import replay
from testbed.agent.agent import Agent
from testbed.agent.life import SignsOfLife
from testbed.agent.store import ModelStore
from testbed.arena.contract import Job, Sample, Truth
from testbed.arena.driver import Clairvoyant, drive
from testbed.environments import ENVIRONMENTS, moments
from testbed.virtual.board import open_board
from testbed.virtual.world import open_world

ACTIONS = (Action("cpu", "fp32", 2201.6e6), Action("gpu", "fp16", 1300.5e6), Action("gpu", "int8", 1300.5e6))
LEARNERS = ["autoscale", "bayesian", "linucb", "lints"]
TRIALS = 25


def monitor(state: State, action: Action, sample: Sample) -> float:
    return sample.energy_j


@pytest.mark.parametrize("name", LEARNERS)
def test_a_board_that_lives_through_the_arena_s_trials_decides_alike(photo: Job, name: str) -> None:
    """`replay` is how the agent brings a policy back; it raises where a decision differs."""
    world = open_world("jetson-agx-orin", ACTIONS, _clear_air, patience_s=1.0)
    around = moments(ENVIRONMENTS["D2"], 200, np.random.default_rng(1))
    episode = world.episode(photo, around, around, [1])
    decisions = drive(policies.build(name, ACTIONS, seed=5), episode, monitor, Clairvoyant())
    accuracy = photo.task.accuracy
    outcomes = [
        Outcome(sample.latency_s, sample.energy_j, accuracy[action.precision])
        for action, sample in zip(decisions.actions, decisions.samples, strict=True)
    ]
    offers = repeat(ACTIONS, len(outcomes))
    trials = zip(episode.states, offers, decisions.actions, outcomes, strict=True)
    replay(policies.build(name, ACTIONS, seed=5), trials)


def _clear_air(rssi_dbm: float) -> dict[str, float]:
    return {
        "rssi_dbm": rssi_dbm,
        "rate_up_bps": 5e7,
        "rate_down_bps": 5e7,
        "delay_s": 0.0,
        "jitter_s": 0.0,
        "loss": 0.0,
    }


class Recorded:
    """An episode that a live agent lived through; only what it chose is known."""

    def __init__(self, states: Sequence[State], actions: Sequence[Action], samples: Sequence[Sample]) -> None:
        self.states = states
        self._chosen, self._samples = actions, samples
        nothing = Means(0.0, 0.0, 0.0)
        self.truths: list[Truth] = [dict.fromkeys(ACTIONS, nothing)] * len(states)

    def sample(self, trial: int, action: Action) -> Sample:
        assert action == self._chosen[trial], f"trial {trial}"
        return self._samples[trial]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """A live agent on a virtual board in real time, with a model that doubles its input."""
    config = {"profile": "jetson-agx-orin", "supply": str(tmp_path / "supply"), "seed": 3}
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = model.SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    packed = io.BytesIO()
    np.savez(packed, x=np.ones(4, np.float32))
    with open_board(config) as board:
        agent = Agent(board, ModelStore(tmp_path / "models"), SignsOfLife())
        agent.put_model(digest, content)
        agent.actions([{"target": a.target, "precision": a.precision, "frequency_hz": a.frequency_hz} for a in ACTIONS])
        agent.workload(
            "photo",
            asdict(TASK.network),
            dict.fromkeys(ACCURACY, digest),
            {"fp32": 56_880_000, "fp16": 28_440_000, "int8": 14_220_000},
            [packed.getvalue()],
            {"qos_s": 0.05, "accuracy_target": 0.65, "accuracy": ACCURACY},
        )
        for action in ACTIONS:
            agent.load("photo", action.target, action.precision)
        yield agent
        agent.close()


ACCURACY = {"fp32": 0.717, "fp16": 0.717, "int8": 0.707}
TASK = Task("photo", Network("mobilenet-v1", 27, 1, 0, 569_000_000, 150_528), 0.05, 0.65, ACCURACY)


@pytest.mark.parametrize("name", ["autoscale", "bayesian"])
def test_the_arena_decides_as_a_live_agent_did(agent: Agent, name: str) -> None:
    agent.calibrate([_metered(action) for action in ACTIONS], idle_power_w=13.0)
    agent.policy(name, 5, {}, [], holds=False)
    states, chosen, samples = [], [], []
    for index in range(TRIALS):
        who, window = {"policy": name, "block": 1, "again": False}, {"shortest_s": 0.0, "guard_s": 0.0}
        answer = agent.trial("photo", who, window, index, signals=None)
        outcome = agent.learn(name, None)["outcome"]
        states.append(State(TASK, **answer["state"]))
        chosen.append(Action(**answer["action"]))
        samples.append(Sample(outcome["latency_s"], outcome["energy_j"], failed=outcome["failed"]))
    policy: Policy = policies.build(name, ACTIONS, seed=5)
    decisions = drive(policy, Recorded(states, chosen, samples), monitor, Clairvoyant())
    assert decisions.actions == chosen


def test_a_policy_that_holds_is_brought_back_with_what_it_held(agent: Agent) -> None:
    agent.actions([{"target": "gpu", "precision": "fp16", "frequency_hz": hz} for hz in (306e6, 612e6, 1300.5e6)])

    def decide(block: int) -> dict[str, Any]:
        who, window = {"policy": "random", "block": block, "again": False}, {"shortest_s": 0.0, "guard_s": 0.0}
        answer = agent.trial("photo", who, window, 0, signals=None)
        outcome = agent.learn("random", None)["outcome"]
        return {"workload": "photo", "block": block, "outcome": outcome, **{k: answer[k] for k in ("state", "action")}}

    def frequencies(decisions: list[dict[str, Any]]) -> list[float]:
        return [decision["action"]["frequency_hz"] for decision in decisions]

    agent.policy("random", 5, {}, [], holds=False)
    assert len(set(frequencies([decide(1) for _ in range(12)]))) == 3
    agent.policy("random", 5, {}, [], holds=True)
    lived = [decide(block) for block in (1, 1, 1, 1, 2, 2, 2, 2, 3)]
    chosen = frequencies(lived)
    assert len(set(chosen[:4])) == len(set(chosen[4:8])) == 1
    agent.policy("random", 5, {}, [], holds=True)
    agent.replay("random", lived)
    assert frequencies([decide(3) for _ in range(4)]) == [chosen[8]] * 4


def _metered(action: Action) -> dict[str, Any]:
    latency_s = {"fp32": 0.0075, "fp16": 0.0011, "int8": 0.0006}[action.precision]
    return {
        "workload": "photo",
        "state": {"co_cpu": 0.0, "co_memory": 0.0, "rssi_dbm": -58.0, "peer_rssi_dbm": -58.0},
        "action": {"target": action.target, "precision": action.precision, "frequency_hz": action.frequency_hz},
        "latency_s": latency_s,
        "transmit_s": 0.0,
        "compute_s": 0.0,
        "receive_s": 0.0,
        "energy_j": 25.0 * latency_s,
    }
