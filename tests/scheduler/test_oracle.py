from __future__ import annotations

from typing import Any

import pytest

from scheduler.contract import Action, Means
from scheduler.oracle import Opt, decide, score

World = Any
A, B, C, D = (Action("cpu", "fp32", 1e9), Action("cpu", "int8", 1e9), Action("gpu", "fp16"), Action("cloud", "fp32"))


def test_least_energy_among_those_sure_of_qos_and_accurate(world: World) -> None:
    task = world.task(accuracy_target=0.75)
    means = {
        A: Means(0.30, 0.040, 0.999),
        B: Means(0.05, 0.010, 1.0),  # not accurate
        C: Means(0.20, 0.048, 0.989),  # not sure
        D: Means(0.25, 0.030, 0.99),
    }
    assert decide(task, means).action == D
    assert decide(task, means).grounds == "least energy"


def test_the_fastest_accurate_one_where_none_is_sure(world: World) -> None:
    task = world.task(accuracy_target=0.75)
    means = {A: Means(0.1, 0.060, 0.2), B: Means(0.1, 0.010, 1.0), C: Means(0.9, 0.055, 0.3)}
    assert decide(task, means) == decide(task, {A: means[A], C: means[C]})
    assert decide(task, means).action == C
    assert decide(task, means).grounds == "none meets QoS"


def test_the_most_accurate_where_none_is_accurate_enough_and_it_says_so(world: World) -> None:
    task = world.task(accuracy_target=0.9)
    means = {A: Means(0.3, 0.04, 1.0), B: Means(0.1, 0.01, 1.0), D: Means(0.2, 0.03, 1.0)}
    choice = decide(task, means)
    assert (choice.action, choice.grounds) == (D, "none meets accuracy")


def test_scores(world: World) -> None:
    task = world.task(accuracy_target=0.75)
    means = {A: Means(0.30, 0.04, 1.0), C: Means(0.20, 0.06, 0.1), D: Means(0.25, 0.03, 1.0)}
    exact = score(task, means, D)
    assert (exact.exact, exact.energy_gap, exact.feasible, exact.met) == (True, 0.0, True, True)
    dear = score(task, means, A)
    assert (dear.exact, dear.met) == (False, True)
    assert dear.energy_gap == pytest.approx(0.2)
    late = score(task, means, C)
    assert not late.met
    assert late.energy_gap == pytest.approx(-0.2)
    hopeless = score(task, {C: means[C]}, C)
    assert (hopeless.exact, hopeless.feasible, hopeless.met) == (True, False, False)


def test_opt_follows_the_truth_of_the_moment(world: World) -> None:
    state = world.state(world.task(macs=4_000_000_000))
    weak = world.state(state.task, rssi_dbm=-85.0)
    now = state

    def truth(task: Any, actions: Any) -> list[Means]:
        return list(world.means(now, actions).values())

    opt = Opt(truth)
    assert opt.select(state, world.actions).target == "cloud"
    assert opt.grounds == "least energy"
    now = weak
    assert opt.select(weak, world.actions).target != "cloud"
