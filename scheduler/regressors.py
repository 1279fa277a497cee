"""Linear regression and support-vector regression of latency and energy, fitted to a profile once (LR, SVR)."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.choices import KnownActions, accurate
from scheduler.contract import Action, Outcome, State
from scheduler.features import as_numbers
from scheduler.libraries import scikit_learn
from scheduler.profile import ProfileRecord

Array = NDArray[np.float64]


class Features:
    """State and action as numbers: the state's eight, which target and precision, and how slow its frequency is."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self._groups = sorted({(action.target, action.precision) for action in actions})
        self._top_hz = {
            action.target: max(a.frequency_hz or 0.0 for a in actions if a.target == action.target)
            for action in actions
        }

    def __call__(self, state: State, action: Action) -> list[float]:
        """Shape (8 + groups + 1,)."""
        group = action.target, action.precision
        slowness = 0.0 if action.frequency_hz is None else log(self._top_hz[action.target] / action.frequency_hz)
        return [*as_numbers(state), *(float(group == other) for other in self._groups), slowness]

    def all(self, state: State, actions: Sequence[Action]) -> Array:
        """One row an action."""
        return np.array([self(state, action) for action in actions])


class Regressor:
    """The least predicted energy among the accurate actions predicted to be in time; else the fastest."""

    def __init__(self, actions: Sequence[Action], records: Sequence[ProfileRecord], estimator: Any) -> None:
        """`estimator` is an unfitted regressor of scikit-learn; two copies learn ln(latency) and ln(energy)."""
        self._features = Features(KnownActions(actions).actions)
        clone = scikit_learn("base").clone
        x = np.array([self._features(record.state, record.action) for record in records])
        self._latency = clone(estimator).fit(x, np.log([record.latency_s for record in records]))
        self._energy = clone(estimator).fit(x, np.log([record.energy_j for record in records]))

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """By prediction alone; draws nothing at random."""
        candidates = accurate(state.task, actions)
        x = self._features.all(state, candidates)
        latency: Array = self._latency.predict(x)
        in_time = latency <= log(state.task.qos_s)
        if not in_time.any():
            return candidates[int(latency.argmin())]
        return candidates[int(np.where(in_time, self._energy.predict(x), np.inf).argmin())]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learns nothing on line."""


def linear_regression(actions: Sequence[Action], records: Sequence[ProfileRecord]) -> Regressor:
    """LR, with a little ridge where the profile leaves a weight open."""
    return Regressor(actions, records, scikit_learn("linear_model").Ridge(alpha=1e-3))


def support_vector_regression(actions: Sequence[Action], records: Sequence[ProfileRecord]) -> Regressor:
    """SVR with a Gaussian kernel, on standardised features."""
    scaled, svr = scikit_learn("preprocessing").StandardScaler(), scikit_learn("svm").SVR(C=10.0, epsilon=0.02)
    return Regressor(actions, records, scikit_learn("pipeline").make_pipeline(scaled, svr))
