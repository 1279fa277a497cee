from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scheduler.contract import Means
from scheduler.policies import POLICIES, PolicyError, build
from scheduler.qlearning import AutoScale
from scheduler.table import save_table

World = Any


def _records(world: World) -> list[Any]:
    state = world.state(world.task())
    return [world.meter(state, action) for action in world.actions]


ELSEWHERE = {"lr", "svr", "svm", "knn", "bo"}


@pytest.mark.parametrize(
    "name", [n for n in POLICIES if n not in ELSEWHERE and "trained" not in n and "transferred" not in n]
)
def test_each_policy_decides_and_learns(world: World, name: str) -> None:
    state = world.state(world.task())

    def truth(task: Any, actions: Any) -> list[Means]:
        return list(world.means(state, actions).values())

    policy = build(name, world.actions, 3, profile=_records(world), true_means=truth)
    for _ in range(20):
        action = policy.select(state, world.actions)
        assert action in world.actions
        policy.update(state, action, world.run(state, action))


def test_options_reach_the_policy(world: World) -> None:
    policy = build("autoscale", world.actions, 3, {"epsilon": 0.0, "reward": "qos-penalty", "bins": "graph"})
    assert isinstance(policy, AutoScale)
    assert policy.reward.name == "qos-penalty"
    assert policy.table.bins.conv_layers == (13.5, 37.0, 78.0)


def test_a_trained_table_can_be_named(world: World, tmp_path: Path) -> None:
    trained = AutoScale(world.actions, 1)
    state = world.state(world.task())
    trained.update(state, world.actions[4], world.run(state, world.actions[4]))
    save_table(tmp_path / "table", trained.table)
    policy = build("autoscale-trained", world.actions, 3, {"table": str(tmp_path / "table")})
    assert isinstance(policy, AutoScale)
    assert policy.value(state, world.actions[4]) == trained.value(state, world.actions[4])
    with pytest.raises(PolicyError, match=r"autoscale-trained.*no such file"):
        build("autoscale-trained", world.actions, 3, {"table": str(tmp_path / "none")})


def test_a_profiled_policy_knows_what_the_profile_holds(world: World) -> None:
    records = _records(world)
    state = records[0].state
    knowing = build("autoscale-profiled", world.actions, 3, profile=records)
    assert isinstance(knowing, AutoScale)
    assert all(knowing.value(state, record.action) != 0.0 for record in records)


def test_each_part_of_the_bayesian_scheduler_can_be_left_out(world: World) -> None:
    parts: list[dict[str, Any]] = [
        {"prior": "flat"},
        {"delta": 0.5},
        {"optimism": 0.0},
        {"walk_deviation": 0.0},
        {"discount": 1.0},
        {"alarm": float("inf")},
    ]
    state = world.state(world.task())
    for options in parts:
        policy = build("bayesian", world.actions, 3, options)
        for _ in range(30):
            action = policy.select(state, world.actions)
            policy.update(state, action, world.run(state, action))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("auto-scale", {}, "policy 'auto-scale' does not exist; did you mean 'autoscale'"),
        ("zzz", {}, "there are: autoscale"),
        ("autoscale", {"epsilonn": 0.1}, "option 'epsilonn' does not exist; did you mean 'epsilon'"),
        ("autoscale", {"reward": "publish"}, "did you mean 'published'"),
        ("autoscale", {"epsilon": 3.0}, "epsilon must be in 0..1"),
        ("autoscale", {"epsilon": "much"}, "policy 'autoscale': "),
        ("bayesian", {"prior": "flatt"}, "did you mean 'flat'"),
        ("cloud", {"epsilon": 0.1}, "has no options; remove 'epsilon'"),
        ("autoscale-trained", {}, "table"),
        ("edge-best", {}, "chooses from a profile, and there is none"),
        ("opt", {}, "only a virtual board"),
    ],
)
def test_mistakes_are_named(world: World, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        build(name, world.actions, 1, options)
