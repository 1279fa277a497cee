from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from scheduler.choices import UnknownActionError
from scheduler.contract import Action, Outcome, State
from scheduler.files import LearntFileError
from scheduler.oracle import choose
from scheduler.qlearning import AutoScale
from scheduler.replay import ReplayDivergedError, replay
from scheduler.rewards import QosPenaltyReward
from scheduler.table import load_table

World = Any


def _train(policy: AutoScale, world: World, states: list[State], trials: int) -> list[tuple[State, Action, Outcome]]:
    log = []
    for i in range(trials):
        state = states[i % len(states)]
        action = policy.select(state, world.actions)
        outcome = world.run(state, action)
        policy.update(state, action, outcome)
        log.append((state, action, outcome))
    return log


@pytest.mark.parametrize("seed", range(20))
def test_the_update_is_the_published_one(world: World, seed: int) -> None:
    random = Random(seed)
    learning_rate, discount = random.random(), 0.9 * random.random()
    policy = AutoScale(world.actions, 1, learning_rate=learning_rate, discount=discount)
    state = world.state(world.task())
    expected = dict.fromkeys(world.actions, 0.0)
    for _ in range(60):
        action, energy_j = random.choice(world.actions[:4]), random.uniform(0.001, 2.0)
        reward = -1000.0 * energy_j + 0.1 * 10.0 + 0.1 * 76.0
        expected[action] += learning_rate * (reward + discount * max(expected.values()) - expected[action])
        policy.update(state, action, Outcome(0.010, energy_j, 0.76))
        assert policy.last_reward == pytest.approx(reward)
        assert policy.value(state, action) == pytest.approx(expected[action], rel=5e-3, abs=0.5)


def test_one_update_worked_by_hand(world: World) -> None:
    policy = AutoScale(world.actions, 1, initial=-20.0)
    state = world.state(world.task())
    policy.update(state, world.actions[0], Outcome(0.040, 0.1, 0.76))
    assert policy.value(state, world.actions[0]) == pytest.approx(-20 + 0.9 * (-88.4 + 0.1 * -20 + 20), rel=1e-3)
    assert policy.value(state, world.actions[1]) == -20.0


def test_actions_below_the_accuracy_target_are_worth_what_the_paper_says(world: World) -> None:
    policy = AutoScale(world.actions, 1, learning_rate=1.0, discount=0.0)
    state = world.state(world.task(accuracy_target=0.75))
    int8 = Action("dla0", "int8")
    policy.update(state, int8, world.run(state, int8))
    assert policy.value(state, int8) == pytest.approx(71.0 - 100.0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("macs", [300_000_000, 1_000_000_000])
def test_it_finds_the_best_of_13_actions_within_80_trials_from_zero(world: World, macs: int, seed: int) -> None:
    task = world.task(macs=macs)
    state = world.state(task)
    policy = AutoScale(world.actions, seed, reward=QosPenaltyReward(), initial=20.0)
    _train(policy, world, [state], 80)
    best = choose(task, world.means(state, world.actions))
    learnt = AutoScale.from_table(policy.table, world.actions, 0, reward=QosPenaltyReward(), epsilon=0.0)
    chosen = learnt.select(state, world.actions)
    assert world.energy_j(state, chosen) <= 1.15 * world.energy_j(state, best)
    assert world.spans(state, chosen)[0] <= task.qos_s


def test_a_start_above_every_reward_tries_each_action_before_any_twice(world: World) -> None:
    policy = AutoScale(world.actions, 1, epsilon=0.0)
    state = world.state(world.task(macs=4_000_000_000))
    log = _train(policy, world, [state], len(world.actions))
    assert Counter(action for _, action, _ in log) == Counter(world.actions)


def test_states_in_other_rows_do_not_share_what_is_learnt(world: World) -> None:
    policy = AutoScale(world.actions, 1)
    quiet, busy = world.state(world.task()), world.state(world.task(), co_cpu=0.9)
    policy.update(quiet, world.actions[0], world.run(quiet, world.actions[0]))
    assert policy.value(quiet, world.actions[0]) != 0.0
    assert policy.value(busy, world.actions[0]) == 0.0


def test_epsilon_is_the_share_of_decisions_drawn_at_random(world: World) -> None:
    policy = AutoScale(world.actions, 1, epsilon=0.25)
    state = world.state(world.task())
    explored = 0
    for _ in range(4000):
        policy.select(state, world.actions)
        explored += policy.explored
    assert explored / 4000 == pytest.approx(0.25, abs=0.03)
    greedy = AutoScale(world.actions, 1, epsilon=0.0)
    greedy.select(state, world.actions)
    assert not greedy.explored


def test_it_chooses_only_among_the_actions_on_offer(world: World) -> None:
    policy = AutoScale(world.actions, 1, epsilon=0.5)
    state = world.state(world.task())
    _train(policy, world, [state], 60)
    offers = [[world.actions[3], world.actions[0]], world.actions[5:7], [world.actions[11]]]
    for offer in offers * 20:
        assert policy.select(state, offer) in offer
    values = {action: policy.value(state, action) for action in offers[1]}
    greedy = AutoScale.from_table(policy.table, world.actions, 1, epsilon=0.0)
    assert greedy.select(state, offers[1]) == max(values, key=values.__getitem__)
    changing = list(offers[0])
    assert greedy.select(state, changing) in changing
    changing[:] = [world.actions[9]]
    assert greedy.select(state, changing) == world.actions[9]


def test_the_greedy_choice_is_the_largest_value_after_any_history(world: World) -> None:
    policy = AutoScale(world.actions, 1, epsilon=0.0)
    random = Random(5)
    state = world.state(world.task())
    for _ in range(300):
        action = random.choice(world.actions)
        policy.update(state, action, Outcome(0.01, random.uniform(0.0, 0.02), 0.76))
        values = {a: policy.value(state, a) for a in world.actions}
        assert policy.select(state, world.actions) == max(values, key=values.__getitem__)


def test_an_action_it_was_not_built_for_is_refused(world: World) -> None:
    policy = AutoScale(world.actions, 1, epsilon=0.0)
    state = world.state(world.task())
    stranger = Action("npu", "int8")
    with pytest.raises(UnknownActionError, match="npu/int8"):
        policy.select(state, [stranger])
    with pytest.raises(UnknownActionError, match="npu/int8"):
        policy.update(state, stranger, Outcome(0.01, 0.1, 0.76))
    with pytest.raises(ValueError, match="no action is on offer"):
        policy.select(state, [])
    with pytest.raises(ValueError, match="each only once"):
        AutoScale([stranger, stranger], 1)


def test_a_reward_that_is_no_number_does_not_reach_the_table(world: World) -> None:
    policy = AutoScale(world.actions, 1)
    state = world.state(world.task())
    before = policy.table.codes
    with pytest.raises(ValueError, match="not a number"):
        policy.update(state, world.actions[0], Outcome(0.01, math.nan, 0.76))
    assert (policy.table.codes == before).all()


@pytest.mark.parametrize("name", ["learning_rate", "discount", "epsilon"])
def test_shares_outside_0_to_1_are_refused(world: World, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be in 0..1"):
        AutoScale(world.actions, 1, **{name: 1.5})


def test_the_table_of_66_actions_takes_the_papers_0_4_mb(world: World) -> None:
    actions = [Action("cpu", "fp32", 1e6 * i) for i in range(66)]
    assert AutoScale(actions, 1).nbytes == 3072 * 66 * 2


def test_saved_and_loaded_it_knows_what_it_knew(world: World, tmp_path: Path) -> None:
    policy = AutoScale(world.actions, 1)
    states = [world.state(world.task()), world.state(world.task(), rssi_dbm=-88.0)]
    _train(policy, world, states, 100)
    policy.save(tmp_path / "table")
    again = AutoScale.from_table(load_table(tmp_path / "table"), world.actions, 1)
    for state in states:
        for action in world.actions:
            assert again.value(state, action) == policy.value(state, action)
    with pytest.raises(LearntFileError, match="another set of actions"):
        AutoScale.from_table(load_table(tmp_path / "table"), world.actions[1:], 1)


def test_going_on_from_a_table_leaves_that_table_alone(world: World) -> None:
    table = AutoScale(world.actions, 1).table
    policy = AutoScale.from_table(table, world.actions, 1)
    _train(policy, world, [world.state(world.task())], 10)
    assert not table.codes.any()


def test_replaying_the_record_brings_a_policy_to_where_it_was(world: World) -> None:
    states = [world.state(world.task()), world.state(world.task("big", macs=4_000_000_000), co_cpu=0.5)]
    policy = AutoScale(world.actions, 7, epsilon=0.3)
    log = _train(policy, world, states, 150)
    again = AutoScale(world.actions, 7, epsilon=0.3)
    replay(again, [(state, world.actions, *chosen) for state, *chosen in log])
    assert (again.table.codes == policy.table.codes).all()
    for state in states * 50:
        assert again.select(state, world.actions) == policy.select(state, world.actions)


def test_replay_under_another_seed_is_noticed(world: World) -> None:
    log = _train(AutoScale(world.actions, 7, epsilon=0.3), world, [world.state(world.task())], 50)
    with pytest.raises(ReplayDivergedError, match=r"decision \d+: the policy now picks"):
        other = AutoScale(world.actions, 8, epsilon=0.3)
        replay(other, [(state, world.actions, *chosen) for state, *chosen in log])
