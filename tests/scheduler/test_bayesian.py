from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Any

import pytest

from scheduler.bayesian import Bayesian
from scheduler.choices import UnknownActionError
from scheduler.contract import Action, Outcome, State
from scheduler.oracle import choose, decide
from scheduler.priors import default_priors
from scheduler.qlearning import AutoScale
from scheduler.replay import replay
from scheduler.rewards import QosPenaltyReward

World = Any


def _states(world: World) -> list[State]:
    tasks = [
        world.task("a", macs=300_000_000),
        world.task("b", macs=1_000_000_000),
        world.task("c", macs=4_000_000_000),
    ]
    conditions: list[dict[str, float]] = [{}, {"co_cpu": 0.6}, {"co_memory": 0.7}, {"rssi_dbm": -80.0}]
    return [world.state(task, **condition) for condition in conditions for task in tasks]


def _play(policy: Any, world: World, states: list[State], rounds: int) -> list[tuple[State, Action, Outcome]]:
    log = []
    for _ in range(rounds):
        for state in states:
            action = policy.select(state, world.actions)
            outcome = world.run(state, action)
            policy.update(state, action, outcome)
            log.append((state, action, outcome))
    return log


def _late(log: list[tuple[State, Action, Outcome]]) -> float:
    return sum(outcome.latency_s > state.task.qos_s for state, _, outcome in log) / len(log)


def _extra_energy(world: World, log: list[tuple[State, Action, Outcome]]) -> float:
    opt_j = sum(world.energy_j(s, choose(s.task, world.means(s, world.actions))) for s, _, _ in log)
    return sum(world.energy_j(state, action) for state, action, _ in log) / opt_j - 1.0


def test_it_comes_within_reach_of_opt_in_few_trials_and_misses_few(world: World) -> None:
    policy = Bayesian(world.actions)
    states = _states(world)
    _play(policy, world, states, 10)
    log = _play(policy, world, states, 5)
    assert _late(log) <= 0.02
    assert _extra_energy(world, log) < 0.15


def test_it_learns_in_fewer_trials_than_a_table(world: World) -> None:
    table = AutoScale(world.actions, 1, reward=QosPenaltyReward(), initial=20.0)
    ours, theirs = (_play(policy, world, _states(world), 10) for policy in (Bayesian(world.actions), table))
    assert _late(ours) < _late(theirs)
    assert _extra_energy(world, ours) < 0.5 * _extra_energy(world, theirs)


def test_accuracy_is_never_traded(world: World) -> None:
    policy = Bayesian(world.actions)
    log = _play(policy, world, [world.state(world.task(accuracy_target=0.75))], 60)
    assert {action.precision for _, action, _ in log} <= {"fp32", "fp16"}


def test_where_nothing_is_safe_it_takes_the_fastest_and_counts(world: World) -> None:
    state = world.state(world.task(macs=4_000_000_000, qos_s=0.002))
    policy = Bayesian(world.actions)
    log = _play(policy, world, [state], 40)
    assert decide(state.task, world.means(state, world.actions)).grounds == "none meets QoS"
    assert log[-1][1] == choose(state.task, world.means(state, world.actions))
    assert policy.unsafe_choices > 20


def test_what_is_not_known_speaks_for_an_action(world: World) -> None:
    state = world.state(world.task(macs=4_000_000_000))
    slow = [replace(prior, latency=(log(10.0), *prior.latency[1:])) for prior in default_priors(world.actions)]
    hopeful, resigned = (Bayesian(world.actions, priors=slow, optimism=optimism) for optimism in (6.0, 0.0))
    hopeful.select(state, world.actions)
    resigned.select(state, world.actions)
    assert (hopeful.unsafe_choices, resigned.unsafe_choices) == (0, 1)


def test_a_vain_attempt_tells_that_the_target_is_slow(world: World) -> None:
    policy, state = Bayesian(world.actions), world.state(world.task())
    cloud = next(action for action in world.actions if action.target == "cloud")
    before = policy.beliefs(state)()[cloud].latency_s
    policy.update(state, cloud, Outcome(0.6, 3.0, 0.0, failed=True))
    after = policy.beliefs(state)()[cloud].latency_s
    assert before is not None
    assert after is not None
    assert after > 2.0 * before
    policy.update(state, cloud, Outcome(0.001, 0.003, 0.0, failed=True))
    assert policy.beliefs(state)()[cloud].latency_s == after


def test_without_optimism_it_takes_what_looks_best(world: World) -> None:
    policy = Bayesian(world.actions, optimism=0.0)
    state = world.state(world.task())
    for _ in range(20):
        policy.update(state, (action := policy.select(state, world.actions)), world.run(state, action))
        assert not policy.explored


def test_a_dead_server_is_left_and_tried_again(world: World) -> None:
    state = world.state(world.task(macs=4_000_000_000))
    policy = Bayesian(world.actions)
    for action in world.actions:
        policy.update(state, action, world.run(state, action))
    _play(policy, world, [state], 30)
    assert policy.select(state, world.actions).target == "cloud"
    picks = []
    for _ in range(20):
        action = policy.select(state, world.actions)
        dead = Outcome(0.001, 0.003, 0.0, failed=True)
        policy.update(state, action, dead if action.target == "cloud" else world.run(state, action))
        picks.append(action.target)
    assert picks.count("cloud") <= 5
    again = [action.target for _, action, _ in _play(policy, world, [state], 100)]
    assert again[-50:].count("cloud") > 25


def test_it_chooses_among_the_actions_on_offer(world: World) -> None:
    policy = Bayesian(world.actions)
    state = world.state(world.task())
    for offer in (world.actions[:3], list(world.actions[9:11]), [world.actions[4]]):
        for _ in range(10):
            assert policy.select(state, offer) in offer
    with pytest.raises(UnknownActionError):
        policy.update(state, Action("npu", "int8"), Outcome(0.01, 0.1, 0.7))


def test_replaying_the_record_brings_it_to_where_it_was(world: World) -> None:
    policy, again = Bayesian(world.actions), Bayesian(world.actions)
    log = _play(policy, world, _states(world), 6)
    replay(again, [(state, world.actions, *chosen) for state, *chosen in log])
    for state in _states(world) * 3:
        assert again.select(state, world.actions) == policy.select(state, world.actions)
