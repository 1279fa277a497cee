"""Bayesian optimisation: Gaussian processes over state and action, and the constrained expected improvement (BO)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import log
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.choices import KnownActions, accurate
from scheduler.contract import Action, Outcome, State
from scheduler.libraries import scikit_learn
from scheduler.profile import ProfileRecord
from scheduler.regressors import Features

Array = NDArray[np.float64]

_NORMAL = NormalDist()
_cdf = np.vectorize(_NORMAL.cdf, otypes=[float])
_pdf = np.vectorize(_NORMAL.pdf, otypes=[float])


class BayesianOptimisation:
    """Expected improvement on the best energy thought feasible, times P(latency <= QoS) (Gardner et al., ICML 2014).

    Two Gaussian processes, for ln(latency) and ln(energy), on the newest `window` outcomes, fitted anew after each.
    That costs milliseconds: a baseline for evaluations, not for a board. Draws nothing at random.
    """

    def __init__(self, actions: Sequence[Action], records: Sequence[ProfileRecord], *, window: int = 200) -> None:
        self._known = KnownActions(actions)
        self._features = Features(self._known.actions)
        self._latency, self._energy = _process(), _process()
        self._seen: deque[tuple[list[float], float, float]] = deque(maxlen=window)
        self.explored = False
        """whether the last action is other than the one of least expected energy thought feasible"""
        for record in records:
            self._remember(record.state, record.action, record.outcome)
        self._fit()

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """The greatest constrained expected improvement; the likeliest to be in time where none is thought feasible."""
        candidates = [self._known.actions[i] for i in self._known.offer(actions)]
        candidates = accurate(state.task, candidates)
        if not self._seen:
            return candidates[0]
        x = self._features.all(state, candidates)
        latency, deviation = self._latency.predict(x, return_std=True)
        in_time: Array = _cdf((log(state.task.qos_s) - latency) / np.maximum(deviation, 1e-6))
        energy, deviation = self._energy.predict(x, return_std=True)
        feasible = in_time >= 0.5
        if not feasible.any():
            self.explored = False
            return candidates[int(in_time.argmax())]
        best = int(np.where(feasible, energy, np.inf).argmin())
        deviation = np.maximum(deviation, 1e-6)
        better = (energy[best] - energy) / deviation
        improvement: Array = deviation * (better * _cdf(better) + _pdf(better))
        chosen = int((improvement * in_time).argmax())
        self.explored = chosen != best
        return candidates[chosen]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learn from an outcome; no answer counts as one that took twice the QoS at least."""
        self._known.index(action)
        self._remember(state, action, outcome)
        self._fit()

    def _remember(self, state: State, action: Action, outcome: Outcome) -> None:
        latency_s = max(outcome.latency_s, 2.0 * state.task.qos_s) if outcome.failed else outcome.latency_s
        self._seen.append((self._features(state, action), log(latency_s), log(outcome.energy_j)))

    def _fit(self) -> None:
        if self._seen:
            x, latency, energy = zip(*self._seen, strict=True)
            self._latency.fit(np.array(x), np.array(latency))
            self._energy.fit(np.array(x), np.array(energy))


def _process() -> Any:
    """A Matern-5/2 process with unit length scales and 5 % noise around the mean of what was seen."""
    kernels, processes = scikit_learn("gaussian_process.kernels"), scikit_learn("gaussian_process")
    kernel = kernels.Matern(length_scale=1.0, nu=2.5)
    return processes.GaussianProcessRegressor(kernel, alpha=0.05**2, optimizer=None, normalize_y=True)
