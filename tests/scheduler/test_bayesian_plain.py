"""The scheduler decides what the same model decides when it is written down without a thought for speed."""

from __future__ import annotations

from math import log
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from scheduler.bayesian import Bayesian
from scheduler.choices import accurate
from scheduler.contract import Action, State
from scheduler.loglinear import LEAST_NOISE, NOISE, Drift
from scheduler.priors import POWER_SHARE, PRECISIONS, WEIGHTS, default_priors, processors_of

World = Any
WALK = len(WEIGHTS)
OPTIMISM, QUANTILE = 1.5, NormalDist().inv_cdf(0.99)


class Plain:
    """One dense Gaussian a processor over all weights, and one row of a design matrix for each action."""

    def __init__(self, actions: tuple[Action, ...], tasks: list[str]) -> None:
        self.actions, self.tasks, self.drift = actions, tasks, Drift()
        names, size = processors_of(actions), WALK + 1 + len(PRECISIONS) * len(tasks)
        walk = self.drift.walk_deviation**2 / (1.0 - self.drift.reversion**2)
        self.beliefs = {}
        for name, prior in zip(names, default_priors(actions), strict=True):
            offsets = [prior.offset_deviation**2] * (size - WALK - 1)
            ceiling = np.array([*(np.square(prior.deviation) + 1e-12), walk + 1e-12, *offsets])
            rest = [0.0] * (size - WALK)
            means = np.array([[*prior.latency, *rest], [*prior.power, *rest]])
            self.beliefs[name] = [np.diag(ceiling), means, ceiling, NOISE**2, 0, 0.0, 0.0]

    def row(self, state: State, action: Action) -> np.ndarray:
        x = dict.fromkeys(WEIGHTS, 0.0)
        network = state.task.network
        x["level"] = 1.0
        x["macs"] = log(network.macs / 1e9)
        x["layers"] = log((network.conv_layers + network.fc_layers + network.rc_layers) / 50.0)
        x["bytes"] = log(network.input_bytes / 150e3)
        if action.precision in x:
            x[action.precision] = 1.0
        if action.frequency_hz is not None:
            top_hz = max(a.frequency_hz or 0.0 for a in self.actions if a.target == action.target)
            x["slowness"] = log(top_hz / action.frequency_hz)
            x["slowness2"] = x["slowness"] ** 2
        x["co_cpu"], x["co_memory"] = state.co_cpu, state.co_memory
        signal = {"cloud": state.rssi_dbm, "edge": state.peer_rssi_dbm}.get(action.target, 0.0)
        x["weak"], x["very_weak"] = max(-55.0 - signal, 0.0) / 10.0, max(-70.0 - signal, 0.0) / 10.0
        own = [float((task, q) == (state.task.name, action.precision)) for task in self.tasks for q in PRECISIONS]
        return np.array([*x.values(), 1.0, *own])

    def select(self, state: State) -> Action:
        safe, late = [], []
        for action in accurate(state.task, self.actions):
            covariance, means, _, noise, *_ = self.beliefs[action.target]
            x = self.row(state, action)
            (latency, power), variance = means @ x, float(x @ covariance @ x)
            hope = OPTIMISM * variance**0.5
            late.append((latency - hope, action))
            if latency - hope + QUANTILE * noise**0.5 <= log(state.task.qos_s):
                safe.append((latency + power - (1.0 + POWER_SHARE**2) ** 0.5 * hope, action))
        return min(safe or late)[1]

    def update(self, state: State, action: Action, ln_latency: float, ln_power: float) -> None:
        belief, drift = self.beliefs[action.target], self.drift
        covariance, means, ceiling, noise, count, up, down = belief
        x = self.row(state, action)
        variance = float(x @ covariance @ x) + noise
        gain = covariance @ x / variance
        error, surprise = ln_latency - means[0] @ x, ln_power - means[1] @ x
        means += np.outer([error, surprise], gain)
        covariance -= np.outer(gain, gain) * variance
        noise = max(noise * (1.0 + 0.05 * (min(error**2 / variance, 9.0) - 1.0)), LEAST_NOISE**2)
        count += 1
        if count % 10 == 0:
            covariance[:] = (covariance + covariance.T) / 2.0
            swell = np.sqrt(np.clip(ceiling / covariance.diagonal(), 1.0, drift.discount**-10))
            covariance *= np.outer(swell, swell)
        for other, other_means, *_ in self.beliefs.values():
            other[WALK] *= drift.reversion
            other[:, WALK] *= drift.reversion
            other[WALK, WALK] += drift.walk_deviation**2
            other_means[:, WALK] *= drift.reversion
        residual = error / variance**0.5
        up, down = max(0.0, up + residual - drift.slack), max(0.0, down - residual - drift.slack)
        if max(up, down) > drift.alarm:
            covariance[WALK, WALK] += 1.0
            up = down = 0.0
        belief[3:] = noise, count, up, down


@pytest.mark.parametrize("seed", range(3))
def test_speed_changes_no_decision(world: World, seed: int) -> None:
    tasks = [
        world.task("a", macs=300_000_000),
        world.task("b", macs=10**9, input_bytes=3_000),
        world.task("c", macs=4 * 10**9),
    ]
    fast, plain = Bayesian(world.actions), Plain(world.actions, [task.name for task in tasks])
    random = np.random.default_rng(seed)
    for trial in range(400):
        if trial == 250:
            world.slowdown = {"gpu": 1.8, "cloud": 2.5}
        co_cpu, co_memory = random.uniform(0.0, 1.0, 2)
        rssi_dbm, peer_rssi_dbm = random.uniform(-85.0, -50.0, 2)
        state = world.state(tasks[trial % 3], co_cpu, co_memory, rssi_dbm, peer_rssi_dbm)
        action = fast.select(state, world.actions)
        assert plain.select(state) == action
        outcome = world.run(state, action)
        fast.update(state, action, outcome)
        plain.update(state, action, log(outcome.latency_s), log(outcome.energy_j / outcome.latency_s))
    assert fast.model.alarms > 0
