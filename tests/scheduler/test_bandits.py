from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from scheduler.arms import LinearArms
from scheduler.choices import UnknownActionError
from scheduler.contract import Action, Outcome
from scheduler.features import as_numbers
from scheduler.lints import LinTs
from scheduler.linucb import LinUcb
from scheduler.oracle import choose
from scheduler.replay import replay
from scheduler.rewards import QosPenaltyReward

World = Any


def test_an_arm_is_a_ridge_regression(world: World) -> None:
    arms = LinearArms(world.actions, QosPenaltyReward(), 2.0, ridge=0.5)
    action, task = world.actions[0], world.task()
    states = [world.state(task, co_cpu=0.1 * i, rssi_dbm=-50.0 - i) for i in range(8)]
    rewards = []
    for state in states:
        arms.learn(state, action, world.run(state, action))
        rewards.append(arms.last_reward)
    x = np.array([(1.0, *as_numbers(state)) for state in states])
    inverse = np.linalg.inv(x.T @ x + 0.5 * np.eye(x.shape[1]))
    start = np.array([2.0, *[0.0] * 8])
    weights = inverse @ (x.T @ np.array(rewards) + 0.5 * start)
    expected, unknown = arms.predict(states[3])
    assert expected[0] == pytest.approx(x[3] @ weights)
    assert unknown[0] == pytest.approx((x[3] @ inverse @ x[3]) ** 0.5)
    assert expected[1] == 2.0


@pytest.mark.parametrize("make", [lambda actions: LinUcb(actions), lambda actions: LinTs(actions, 3)])
def test_they_find_an_action_near_the_best_and_replay_exactly(world: World, make: Any) -> None:
    policy, again = make(world.actions), make(world.actions)
    state = world.state(world.task())
    log = []
    for _ in range(400):
        action = policy.select(state, world.actions)
        outcome = world.run(state, action)
        policy.update(state, action, outcome)
        log.append((state, action, outcome))
    most = Counter(action for _, action, _ in log[-100:]).most_common(1)[0][0]
    best = choose(state.task, world.means(state, world.actions))
    assert world.energy_j(state, most) < 1.2 * world.energy_j(state, best)
    replay(again, [(state, world.actions, *chosen) for state, *chosen in log])
    assert again.select(state, world.actions) == policy.select(state, world.actions)


@pytest.mark.parametrize("make", [lambda actions: LinUcb(actions), lambda actions: LinTs(actions, 3)])
def test_they_take_what_is_on_offer(world: World, make: Any) -> None:
    policy = make(world.actions)
    state = world.state(world.task())
    for _ in range(30):
        assert policy.select(state, world.actions[4:6]) in world.actions[4:6]
    with pytest.raises(UnknownActionError):
        policy.update(state, Action("npu", "int8"), Outcome(0.01, 0.1, 0.7))


def test_a_wider_bound_explores_more(world: World) -> None:
    state = world.state(world.task())
    tried = []
    for width in (0.0, 30.0):
        policy = LinUcb(world.actions, width=width)
        for action in world.actions:
            policy.update(state, action, world.run(state, action))
        picks = set()
        for _ in range(60):
            picks.add(action := policy.select(state, world.actions))
            policy.update(state, action, world.run(state, action))
        tried.append(len(picks))
    assert tried[0] < tried[1]
