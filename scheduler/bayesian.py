"""A Bayesian scheduler: the least energy among the actions that are believed to meet their QoS."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import NormalDist

import numpy as np

from scheduler.choices import KnownActions, accurate
from scheduler.contract import Action, Outcome, State, Task
from scheduler.loglinear import POWER_SHARE, PRECISIONS, Array, Drift, LogLinear, Prior, default_priors

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
        precision = [PRECISIONS.index(action.precision) for action in actions]
        self._group = np.array(self.model.processor_of) * len(PRECISIONS) + precision
        processors = len(self.model.processors)
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
        limit = demand.limit
        if self._known.offer(actions) is not self._known.all:
            limit = self._limit(state.task, actions)
        self._decisions += 1
        if max(self._failures):
            limit = self._awake(limit)
        latency, power, variance = self.model.predict(state)
        slowest = np.sqrt(variance + self.model.noise_of_actions)
        slowest *= demand.quantile
        slowest += latency
        among = (slowest <= limit).nonzero()[0]
        draws = self._normal(self._groups)
        if among.size:
            expected = (latency + power)[among]
            share = _ENERGY_SHARE
        else:
            among = np.isfinite(limit).nonzero()[0]
            expected = latency[among]
            share = 1.0
            self.unsafe_choices += 1
            _log.debug("no action is believed to meet the QoS of %s; taking the fastest", state.task.name)
        spread = np.sqrt(variance[among])
        spread *= draws[self._group[among]]
        spread *= self._exploration * share
        spread += expected
        chosen = spread.argmin()
        self.explored = bool(chosen != expected.argmin())
        return self._known.actions[among[chosen]]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learn from an outcome.

        A target that gave no answer is left alone for 2 decisions, after the next failure for 4, and so on.
        """
        index = self._known.index(action)
        p = self.model.processor_of[index]
        if outcome.failed:
            self._failures[p] += 1
            self._rest_until[p] = self._decisions + min(2 ** self._failures[p], LONGEST_REST)
            return
        self._failures[p] = 0
        ln_latency = log(outcome.latency_s)
        self.model.learn(state, index, ln_latency, log(outcome.energy_j) - ln_latency)
        demand = self._demand(state.task)
        if demand.quantile[index] != self._quantile:
            demand.quantile[self._group == self._group[index]] = self._quantile

    def _demand(self, task: Task) -> _Demand:
        demand = self._demands.get(task.name)
        if demand is None:
            quantile = np.full(len(self._group), self._quantile_untried)
            demand = self._demands[task.name] = _Demand(self._limit(task, self._known.actions), quantile)
        return demand

    def _awake(self, limit: Array) -> Array:
        resting = np.array(self._rest_until) >= self._decisions
        awake = np.where(resting[self.model.processor_of], -np.inf, limit)
        return awake if np.isfinite(awake).any() else limit

    def _limit(self, task: Task, actions: Sequence[Action]) -> Array:
        limit = np.full(len(self._group), -np.inf)
        limit[[self._known.index(action) for action in accurate(task, actions)]] = log(task.qos_s)
        return limit


_ENERGY_SHARE = (1.0 + POWER_SHARE**2) ** 0.5
"""deviation of ln(energy) for one of ln(latency)"""


@dataclass(slots=True)
class _Demand:
    """What a task asks of each action."""

    limit: Array
    """ln(QoS); minus infinity where the action is not accurate enough"""
    quantile: Array
    """standard normal quantile at which the latency must be in time"""
