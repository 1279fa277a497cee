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
        groups = [
            p * len(PRECISIONS) + PRECISIONS.index(action.precision)
            for action, p in zip(actions, self.model.processor_of, strict=True)
        ]
        self._group = np.array(groups, np.intp)
        processors = len(self.model.processors)
        self._draws = _Draws(seed, processors * len(PRECISIONS), self._group)
        self._deviations = exploration * _ENERGY_SHARE, exploration
        self._demands: dict[str, _Demand] = {}
        self._decisions = 0
        self._failures = [0] * processors
        self._failing = False
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
        if self._failing:
            limit = self._awake(limit)
        latency, power, variance = self.model.predict(state)
        slowest = np.sqrt(variance + self.model.noise_of_actions)
        slowest *= demand.quantile
        slowest += latency
        among = (slowest <= limit).nonzero()[0]
        spread = np.sqrt(variance)
        spread *= self._draws()
        if among.size:
            expected = latency + power
            spread *= self._deviations[0]
        else:
            among = np.isfinite(limit).nonzero()[0]
            expected = latency
            spread *= self._deviations[1]
            self.unsafe_choices += 1
            _log.debug("no action is believed to meet the QoS of %s; taking the fastest", state.task.name)
        spread += expected
        chosen = int(among[spread[among].argmin()])
        self.explored = bool(chosen != among[expected[among].argmin()])
        return self._known.actions[chosen]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learn from an outcome.

        A target that gave no answer is left alone for 2 decisions, after the next failure for 4, and so on.
        """
        index = self._known.index(action)
        p = self.model.processor_of[index]
        if outcome.failed:
            self._failures[p] += 1
            self._failing = True
            self._rest_until[p] = self._decisions + min(2 ** self._failures[p], LONGEST_REST)
            return
        if self._failing:
            self._failures[p] = 0
            self._failing = any(self._failures)
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


_AT_ONCE = 64
"""decisions to draw for at once, to save time"""


class _Draws:
    """Standard normal draws for a decision, of shape (actions,): the actions of a group share theirs."""

    def __init__(self, seed: int, groups: int, group: NDArray[np.intp]) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._groups, self._group = groups, group
        self._next = _AT_ONCE

    def __call__(self) -> Array:
        if self._next == _AT_ONCE:
            self._drawn = self._generator.standard_normal((_AT_ONCE, self._groups))[:, self._group]
            self._next = 0
        drawn: Array = self._drawn[self._next]
        self._next += 1
        return drawn


_ENERGY_SHARE = (1.0 + POWER_SHARE**2) ** 0.5
"""deviation of ln(energy) for one of ln(latency)"""


@dataclass(slots=True)
class _Demand:
    """What a task asks of each action."""

    limit: Array
    """ln(QoS); minus infinity where the action is not accurate enough"""
    quantile: Array
    """standard normal quantile at which the latency must be in time"""
