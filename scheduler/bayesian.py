"""A Bayesian scheduler: the least energy among the actions that are believed to meet their QoS."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from scheduler.choices import KnownActions, accurate
from scheduler.contract import Action, Outcome, State, Task
from scheduler.loglinear import POWER_SHARE, PRECISIONS, Drift, LogLinear, Prior, default_priors

_log = logging.getLogger(__name__)

LONGEST_REST = 256
"""decisions after which a target that keeps failing is tried again"""


@dataclass(frozen=True, slots=True)
class SafeSet:
    """Which actions may be taken: those with P(latency > QoS) <= delta under the model.

    An action in a task, target and precision that was never tried is let in more easily, so that a cautious prior
    cannot lock a good processor out for ever: that costs at most one trial for each of them.
    A delta of 0.5 asks of the median only.
    """

    delta: float = 0.01
    delta_untried: float = 0.5

    def quantiles(self) -> tuple[float, float]:
        """Standard normal quantiles of tried and untried actions."""
        normal = NormalDist()
        return normal.inv_cdf(1.0 - self.delta), normal.inv_cdf(1.0 - self.delta_untried)


class Bayesian:
    """Chance-constrained choice by a log-linear model, exploring by Thompson sampling.

    Where no action is believed safe it takes the fastest, counts it and logs it.
    `exploration` scales the deviations that Thompson sampling draws with; 0 takes the least expected energy.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        seed: int,
        *,
        priors: Sequence[Prior] | None = None,
        drift: Drift | None = None,
        safe_set: SafeSet | None = None,
        exploration: float = 1.0,
    ) -> None:
        self._known = KnownActions(actions)
        self.model = LogLinear(actions, priors or default_priors(actions), drift or Drift())
        self._quantile, self._quantile_untried = (safe_set or SafeSet()).quantiles()
        self._exploration = exploration
        self._normal = np.random.Generator(np.random.PCG64(seed)).standard_normal
        processors, slots = self.model.shape
        self._group = np.zeros((processors, slots), np.intp)
        self._at: dict[int, Action] = {}
        for action, (p, slot) in self.model.place.items():
            self._at[p * slots + slot] = action
            self._group[p, slot] = p * len(PRECISIONS) + PRECISIONS.index(action.precision)
        self._groups = processors * len(PRECISIONS)
        self._demands: dict[str, _Demand] = {}
        self._decisions = 0
        self._failures = [0] * processors
        self._rest_until = [0] * processors
        self.explored = False
        """whether the last action is other than the one that looked best"""
        self.unsafe_choices = 0
        """decisions in which no action was believed safe"""

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """The safe action of least sampled energy, or that of least sampled latency when none is safe."""
        demand = self._demand(state.task)
        allowed = demand.allowed
        if self._known.offer(actions) is not self._known.all:
            allowed = self._only(state.task, actions)
        self._decisions += 1
        if max(self._failures):
            allowed = self._awake(allowed)
        means, variance = self.model.predict(state)
        latency = means[:, 0]
        slowest = latency + np.sqrt(variance + self.model.noise[:, None]) * demand.quantile
        safe = allowed & (slowest <= demand.ln_qos)
        if safe.any():
            expected = np.where(safe, latency + means[:, 1], np.inf)
            share = _ENERGY_SHARE
        else:
            expected = np.where(allowed, latency, np.inf)
            share = 1.0
            self.unsafe_choices += 1
            _log.debug("no action is believed to meet the QoS of %s; taking the fastest", state.task.name)
        draws = self._normal(self._groups)[self._group]
        index = int((expected + self._exploration * share * np.sqrt(variance) * draws).argmin())
        self.explored = index != int(expected.argmin())
        return self._at[index]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learn from an outcome.

        A target that gave no answer is left alone for 2 decisions, after the next failure for 4, and so on.
        """
        self._known.index(action)
        demand = self._demand(state.task)
        p, slot = self.model.place[action]
        if outcome.failed:
            self._failures[p] += 1
            self._rest_until[p] = self._decisions + min(2 ** self._failures[p], LONGEST_REST)
            return
        self._failures[p] = 0
        ln_latency = log(outcome.latency_s)
        self.model.learn(state, action, ln_latency, log(outcome.energy_j) - ln_latency)
        demand.quantile[self._group == self._group[p, slot]] = self._quantile

    def _demand(self, task: Task) -> _Demand:
        demand = self._demands.get(task.name)
        if demand is None:
            quantile = np.full(self._group.shape, self._quantile_untried)
            demand = self._demands[task.name] = _Demand(
                self._only(task, self._known.actions), quantile, log(task.qos_s)
            )
        return demand

    def _awake(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        resting = np.array(self._rest_until) >= self._decisions
        awake = allowed & ~resting[:, None]
        return awake if awake.any() else allowed

    def _only(self, task: Task, actions: Sequence[Action]) -> NDArray[np.bool_]:
        allowed = np.zeros(self._group.shape, bool)
        for action in accurate(task, actions):
            allowed[self.model.place[action]] = True
        return allowed


_ENERGY_SHARE = (1.0 + POWER_SHARE**2) ** 0.5
"""deviation of ln(energy) for one of ln(latency)"""


@dataclass(slots=True)
class _Demand:
    """What a task asks of the grid of actions."""

    allowed: NDArray[np.bool_]
    quantile: NDArray[np.float64]
    ln_qos: float
