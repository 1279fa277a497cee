from __future__ import annotations

from dataclasses import replace
from math import exp, log
from typing import Any

import numpy as np
import pytest

from scheduler.contract import Action, State
from scheduler.loglinear import NO_DRIFT, Drift, LogLinear
from scheduler.priors import BOARD_PRIOR, WEIGHTS, Prior, default_priors, flat

World = Any


def _model(world: World, drift: Drift = NO_DRIFT) -> LogLinear:
    return LogLinear(world.actions, default_priors(world.actions), drift)


def _learn(model: LogLinear, world: World, state: State, action: Action, times: int = 1) -> None:
    for _ in range(times):
        outcome = world.run(state, action)
        power_w = outcome.energy_j / outcome.latency_s
        model.learn(state, model.actions.index(action), log(outcome.latency_s), log(power_w))


def _predicted(model: LogLinear, state: State, action: Action) -> tuple[float, float, float]:
    latency, power, variance = model.predict(state)
    i = model.actions.index(action)
    return exp(latency[i]), exp(power[i]), float(variance[i]) ** 0.5


def test_without_drift_it_is_bayesian_regression(world: World) -> None:
    """The filter must agree with the closed-form posterior of a linear-Gaussian model."""
    actions = (Action("cpu", "fp32", 1e9), Action("cpu", "fp32", 2e9))
    prior = Prior(
        latency=(-3.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.3, 0.0, 0.0, 0.0),
        power=(1.0,) + (0.0,) * 11,
        deviation=(1.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0, 0.5, 0.0, 0.0, 0.0),
        offset_deviation=0.4,
    )
    model = LogLinear(actions, [prior], NO_DRIFT)
    small, large = world.task("small", macs=500_000_000), world.task("large", macs=3_000_000_000)
    trials = [(small, 0, 0.0, -3.5), (small, 1, 0.5, -4.0), (large, 1, 0.2, -2.0), (small, 0, 0.9, -3.1)]

    def row(task: Any, action: int, co_cpu: float) -> list[float]:
        slowness = log(2e9 / (actions[action].frequency_hz or 0.0))
        return [1.0, log(task.network.macs / 1e9), slowness, co_cpu, float(task is small), float(task is large)]

    mean = np.array([-3.0, 0.5, 1.0, 0.3, 0.0, 0.0])
    covariance = np.diag(np.square([1.0, 0.3, 0.2, 0.5, 0.4, 0.4]))
    model.learn(world.state(small), 0, -3.3, 1.0)
    design, seen, noises = [row(small, 0, 0.0)], [-3.3], [0.05**2]
    for task, action, co_cpu, ln_latency in trials:
        noises.append(float(model.noise[0]))
        model.learn(world.state(task, co_cpu=co_cpu), action, ln_latency, 1.0)
        design.append(row(task, action, co_cpu))
        seen.append(ln_latency)
    x, information = np.array(design), np.diag(1.0 / np.array(noises))
    posterior = np.linalg.inv(np.linalg.inv(covariance) + x.T @ information @ x)
    expected = posterior @ (np.linalg.inv(covariance) @ mean + x.T @ information @ np.array(seen))
    for task, action, co_cpu in ((small, 1, 0.1), (large, 0, 0.7)):
        at = np.array(row(task, action, co_cpu))
        latency_s, _, deviation = _predicted(model, world.state(task, co_cpu=co_cpu), actions[action])
        assert log(latency_s) == pytest.approx(at @ expected, abs=1e-6)
        assert deviation == pytest.approx(float(at @ posterior @ at) ** 0.5, rel=1e-4)


def test_one_outcome_informs_every_action_of_its_processor(world: World) -> None:
    model = _model(world)
    state = world.state(world.task())
    top, low, gpu = Action("cpu", "fp32", 1.4e9), Action("cpu", "fp32", 1e9), Action("gpu", "fp32", 9e8)
    before = {action: _predicted(model, state, action)[2] for action in (low, gpu)}
    _learn(model, world, state, top, 2)
    assert _predicted(model, state, low)[2] < 0.2 * before[low]
    assert _predicted(model, state, low)[0] == pytest.approx(world.spans(state, low)[0], rel=0.1)
    assert _predicted(model, state, gpu)[2] == pytest.approx(before[gpu])


def test_an_unseen_task_starts_from_its_size(world: World) -> None:
    model = _model(world)
    action = Action("gpu", "fp16", 9e8)
    for macs in (200_000_000, 600_000_000, 3_000_000_000):
        _learn(model, world, world.state(world.task(f"n{macs}", macs=macs)), action, 3)
    unseen = world.state(world.task("unseen", macs=1_500_000_000))
    latency_s, power_w, deviation = _predicted(model, unseen, action)
    assert latency_s == pytest.approx(world.spans(unseen, action)[0], rel=0.3)
    assert power_w == pytest.approx(12.0, rel=0.15)
    assert deviation < 0.6


def test_a_hidden_slow_down_is_followed_and_the_walk_alone_would_not_do_without(world: World) -> None:
    state, action = world.state(world.task()), Action("gpu", "fp16", 9e8)
    followed, still = _model(world, Drift()), _model(world)
    for model in (followed, still):
        world.slowdown = {}
        _learn(model, world, state, action, 200)
        world.slowdown = {"gpu": 2.0}
        _learn(model, world, state, action, 8)
    truth_s = world.spans(state, action)[0]
    assert _predicted(followed, state, action)[0] == pytest.approx(truth_s, rel=0.15)
    assert _predicted(still, state, action)[0] < 0.8 * truth_s


def test_an_abrupt_change_raises_the_alarm_and_noise_does_not(world: World) -> None:
    state, action = world.state(world.task()), Action("gpu", "fp16", 9e8)
    model = _model(world, Drift(walk_deviation=0.002))
    _learn(model, world, state, action, 300)
    assert model.alarms == 0
    world.slowdown = {"gpu": 1.6}
    _learn(model, world, state, action, 5)
    assert model.alarms >= 1
    assert _predicted(model, state, action)[0] == pytest.approx(world.spans(state, action)[0], rel=0.1)


def test_forgetting_never_exceeds_the_prior(world: World) -> None:
    state, action = world.state(world.task()), Action("cpu", "fp32", 1.4e9)
    other = world.state(world.task("other", macs=5_000_000_000), co_cpu=0.9)
    model = _model(world, Drift(discount=0.8))
    first = _predicted(model, other, action)[2]
    _learn(model, world, state, action, 400)
    assert _predicted(model, other, action)[2] <= 1.05 * first


def test_noise_is_learnt(world: World) -> None:
    state, action = world.state(world.task()), Action("dla0", "int8")
    noises = []
    for noise in (0.02, 0.3):
        world.noise = noise
        model = _model(world, Drift())
        _learn(model, world, state, action, 300)
        noises.append(float(model.noise[model.processors.index(action.target)]) ** 0.5)
    assert noises[0] == pytest.approx(0.02, abs=0.01)
    assert noises[1] == pytest.approx(0.3, rel=0.3)


def test_signals_act_on_their_own_target(world: World) -> None:
    model = _model(world)
    cloud, edge, cpu = Action("cloud", "fp32"), Action("edge", "fp32"), Action("cpu", "fp32", 1e9)
    good = world.state(world.task())
    weak = replace(good, rssi_dbm=-82.0)
    assert _predicted(model, weak, cloud)[0] > 2.0 * _predicted(model, good, cloud)[0]
    for action in (edge, cpu):
        assert _predicted(model, weak, action) == _predicted(model, good, action)


def test_beliefs_start_another_model(world: World) -> None:
    model = _model(world)
    _learn(model, world, world.state(world.task()), Action("gpu", "fp32", 9e8), 5)
    beliefs = model.beliefs()
    assert set(beliefs) == {"cpu", "gpu", "dla0", "edge", "cloud"}
    again = LogLinear(world.actions, list(beliefs.values()), NO_DRIFT)
    unseen = world.state(world.task("unseen"))
    for action in world.actions:
        assert _predicted(again, unseen, action)[:2] == pytest.approx(_predicted(model, unseen, action)[:2])
    assert len(beliefs["gpu"].latency) == len(WEIGHTS)


def test_a_flat_prior_knows_nothing_of_size(world: World) -> None:
    assert flat(BOARD_PRIOR).latency[WEIGHTS.index("macs")] == 0.0
    assert flat(BOARD_PRIOR).deviation[WEIGHTS.index("macs")] > 1.0
    assert flat(BOARD_PRIOR).deviation[WEIGHTS.index("weak")] == 0.0


def test_it_stays_well_conditioned_however_long_it_learns(world: World) -> None:
    """Forgetting amplifies whatever rounding leaves behind, unless it is held in check."""
    model = _model(world, Drift(discount=0.9))
    states = [world.state(world.task(f"n{i}", macs=4**i * 10**8), co_cpu=0.1 * i) for i in range(3)]
    top = Action("cpu", "fp32", 1.4e9)
    for i in range(3000):
        _learn(model, world, states[i % 3], top)
    for state in states:
        latency_s, _, deviation = _predicted(model, state, top)
        assert latency_s == pytest.approx(world.spans(state, top)[0], rel=0.05)
        assert 0.0 < deviation < 0.1
