from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from scheduler import fixed
from scheduler.choices import NothingToChooseError
from scheduler.contract import Action
from scheduler.profile import mean_outcomes
from scheduler.rule import CalibratedRule

World = Any


def _profile(world: World, *states: Any) -> Any:
    return mean_outcomes([world.meter(state, action) for state in states for action in world.actions for _ in range(3)])


def test_edge_cpu_fp32_is_the_cpu_at_its_highest_frequency(world: World) -> None:
    state = world.state(world.task())
    assert fixed.edge_cpu_fp32().select(state, world.actions) == Action("cpu", "fp32", 1.4e9)


def test_offloading_takes_the_widest_precision_of_the_server(world: World) -> None:
    state = world.state(world.task())
    actions = (Action("cloud", "int8"), *world.actions, Action("cloud", "fp16"))
    assert fixed.cloud().select(state, actions) == Action("cloud", "fp32")
    assert fixed.connected_edge().select(state, actions) == Action("edge", "fp32")


def test_a_missing_target_is_named(world: World) -> None:
    with pytest.raises(NothingToChooseError, match=r"cloud: none of the 11 actions"):
        fixed.cloud().select(world.state(world.task()), world.actions[:11])


def test_edge_best_is_the_least_energy_of_the_board_that_meets_qos_and_accuracy(world: World) -> None:
    world.noise = 1e-6
    state = world.state(world.task(macs=4_000_000_000, qos_s=0.03, accuracy_target=0.75))
    board = [action for action in world.actions if action.target not in ("edge", "cloud")]
    good = [a for a in board if a.precision != "int8" and world.spans(state, a)[0] <= 0.03]
    expected = min(good, key=lambda action: world.energy_j(state, action))
    assert fixed.edge_best(_profile(world, state)).select(state, world.actions) == expected
    cheaper = min(board, key=lambda action: world.energy_j(state, action))
    assert cheaper != expected, "the constraints must matter here"


def test_static_best_may_offload(world: World) -> None:
    state = world.state(world.task(macs=4_000_000_000))
    profile = _profile(world, state)
    assert fixed.static_best(profile).select(state, world.actions).target == "cloud"
    assert fixed.edge_best(profile).select(state, world.actions).target != "cloud"


def test_where_nothing_is_in_time_it_takes_the_fastest(world: World) -> None:
    world.noise = 1e-6
    state = world.state(world.task(macs=4_000_000_000, qos_s=0.001))
    board = [a for a in world.actions if a.target not in ("edge", "cloud")]
    fastest = min(board, key=lambda action: world.spans(state, action)[0])
    assert fixed.edge_best(_profile(world, state)).select(state, world.actions) == fastest


def test_a_task_that_was_never_profiled_is_named(world: World) -> None:
    policy = fixed.edge_best(_profile(world, world.state(world.task())))
    with pytest.raises(NothingToChooseError, match="task 'speech'"):
        policy.select(world.state(world.task("speech")), world.actions)


def test_chance_is_even_and_seeded(world: World) -> None:
    state = world.state(world.task())
    policy = fixed.RandomChoice(3)
    picks = [policy.select(state, world.actions) for _ in range(2600)]
    counts = Counter(picks)
    assert set(counts) == set(world.actions)
    assert max(counts.values()) < 2 * min(counts.values())
    again = fixed.RandomChoice(3)
    assert [again.select(state, world.actions) for _ in range(100)] == picks[:100]


def test_mean_outcomes_are_means(world: World) -> None:
    state = world.state(world.task())
    records = [world.meter(state, world.actions[0]) for _ in range(5)]
    mean = mean_outcomes(records)["photo"][world.actions[0]]
    assert mean.energy_j == pytest.approx(sum(record.energy_j for record in records) / 5)
    assert mean.latency_s == pytest.approx(sum(record.latency_s for record in records) / 5)
    assert mean.accuracy == 0.76


def test_race_to_idle_is_the_fastest_accurate_action_of_the_board(world: World) -> None:
    world.noise = 1e-6
    state = world.state(world.task(accuracy_target=0.75))
    assert fixed.race_to_idle(_profile(world, state)).select(state, world.actions) == Action("gpu", "fp16", 9e8)


def test_the_rule_minds_signal_and_co_runner(world: World) -> None:
    world.noise = 1e-6
    task = world.task(macs=4_000_000_000)
    rule = CalibratedRule(_profile(world, world.state(task)))
    assert rule.select(world.state(task), world.actions).target == "cloud"
    assert rule.select(world.state(task, rssi_dbm=-75.0), world.actions).target != "cloud"
    cpu = [action for action in world.actions if action.target == "cpu"]
    small = world.task("small", macs=1_000_000_000, accuracy_target=0.75, qos_s=0.05)
    rule = CalibratedRule(_profile(world, world.state(small)))
    assert rule.select(world.state(small), cpu) == Action("cpu", "fp32", 1.0e9)
    assert rule.select(world.state(small, co_cpu=0.3), cpu) == Action("cpu", "fp32", 1.4e9)
    with pytest.raises(NothingToChooseError, match="task 'photo'"):
        rule.select(world.state(world.task()), cpu)
