"""A Bayesian scheduler: the least energy among the actions that are believed to meet their QoS."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist

import numpy as np

from scheduler.choices import KnownActions, accurate
from scheduler.contract import Action, Outcome, State, Task
from scheduler.explain import Belief, Beliefs
from scheduler.loglinear import Array, Drift, LogLinear
from scheduler.posterior import decode_posterior, encode_posterior
from scheduler.priors import POWER_SHARE, PRECISIONS, Prior, default_priors
from scheduler.writer import Content

_log = logging.getLogger(__name__)

_NORMAL = NormalDist()
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
        return _NORMAL.inv_cdf(1.0 - self.delta), _NORMAL.inv_cdf(1.0 - self.delta_untried)


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
        self._groups = [
            p * len(PRECISIONS) + PRECISIONS.index(action.precision)
            for action, p in zip(actions, self.model.processor_of, strict=True)
        ]
        processors = len(self.model.processors)
        self._draws = _Draws(seed, processors * len(PRECISIONS), self._groups)
        self._deviations = exploration * _ENERGY_SHARE, exploration
        self._demands: dict[str, _Demand] = {}
        self._tried: dict[str, set[int]] = {}
        """task -> groups (a processor at a precision) that were tried"""
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
            limit = self._narrowed(demand, state.task, actions)
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
        tried = self._tried.setdefault(state.task.name, set())
        if self._groups[index] not in tried:
            tried.add(self._groups[index])
            self._demands.pop(state.task.name, None)

    @property
    def nbytes(self) -> int:
        """Size of the posterior, which grows with the tasks it has met."""
        return self.model.posterior.beliefs.nbytes

    def beliefs(self, state: State) -> Beliefs:
        """Medians and P(QoS) of each action; it objects to those outside the safe set."""
        demand = self._demand(state.task)
        ln_qos = log(state.task.qos_s)
        latency, power, variance = self.model.predict(state)
        deviation = np.sqrt(variance + self.model.noise_of_actions)

        def spell_out() -> dict[Action, Belief]:
            p_qos = [_NORMAL.cdf(z) for z in ((ln_qos - latency) / deviation).tolist()]
            p_asked = [_NORMAL.cdf(q) for q in demand.quantile.tolist()]
            return {
                action: Belief(
                    latency_s=exp(latency[i]),
                    energy_j=exp(latency[i] + power[i]),
                    p_qos=p_qos[i],
                    objection=f"P(QoS) is below {p_asked[i]:.2g}" if p_qos[i] < p_asked[i] else None,
                )
                for i, action in enumerate(self._known.actions)
            }

        return spell_out

    def snapshot(self) -> Content:
        """All that was learnt, for `recall`; failures are forgotten."""
        posterior, tried = self.model.posterior, {task: sorted(groups) for task, groups in self._tried.items()}
        return lambda: encode_posterior(self._known.actions, posterior, tried)

    def recall(self, content: bytes, name: str) -> None:
        """Go on from what was learnt before. Raises LearntFileError when it is of no use here."""
        posterior, tried = decode_posterior(content, name, self._known.actions)
        self.model.resume(posterior)
        self._tried = {task: set(groups) for task, groups in tried.items()}
        self._demands.clear()

    def _demand(self, task: Task) -> _Demand:
        demand = self._demands.get(task.name)
        if demand is None:
            tried = self._tried.get(task.name, ())
            quantile = [self._quantile if group in tried else self._quantile_untried for group in self._groups]
            limit = self._limit(task, self._known.actions)
            demand = self._demands[task.name] = _Demand(limit, np.array(quantile), None, limit)
        return demand

    def _narrowed(self, demand: _Demand, task: Task, actions: Sequence[Action]) -> Array:
        """Limits where only some actions are on offer; those of a tuple are remembered, a list may have changed."""
        if actions is not demand.offer:
            demand.offer = actions if isinstance(actions, tuple) else None
            demand.narrowed = self._limit(task, actions)
        return demand.narrowed

    def _awake(self, limit: Array) -> Array:
        resting = np.array(self._rest_until) >= self._decisions
        awake = np.where(resting[self.model.processor_of], -np.inf, limit)
        return awake if np.isfinite(awake).any() else limit

    def _limit(self, task: Task, actions: Sequence[Action]) -> Array:
        limit = np.full(len(self._groups), -np.inf)
        limit[[self._known.index(action) for action in accurate(task, actions)]] = log(task.qos_s)
        return limit


_AT_ONCE = 64
"""decisions to draw for at once, to save time"""


class _Draws:
    """Standard normal draws for a decision, of shape (actions,): the actions of a group share theirs."""

    def __init__(self, seed: int, groups: int, group: Sequence[int]) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._groups, self._group = groups, np.array(group, np.intp)
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
    offer: tuple[Action, ...] | None
    """a part of the actions that was on offer last"""
    narrowed: Array
    """`limit`, minus infinity also where the action is not in `offer`"""
