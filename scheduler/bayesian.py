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
from scheduler.priors import POWER_SHARE, Prior, default_priors
from scheduler.writer import Content

_log = logging.getLogger(__name__)

_NORMAL = NormalDist()
LONGEST_REST = 256
"""decisions after which a target that keeps failing is tried again"""


class Bayesian:
    """Chance-constrained choice by a log-linear model, optimistic where it knows little.

    It takes the least energy among the actions with P(latency > QoS) <= `delta`. What it does not know speaks for an
    action: its mean latency and energy count as `optimism` standard deviations of their logarithms below what is
    expected, so that a cautious prior cannot lock a good processor out; 0 takes what looks best. It draws no lots: an
    action some 50 times dearer is never taken on the off chance.
    Where no action is believed safe it takes the fastest, counts it and logs it.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        *,
        priors: Sequence[Prior] | None = None,
        drift: Drift | None = None,
        delta: float = 0.01,
        optimism: float = 1.5,
    ) -> None:
        self._known = KnownActions(actions)
        self.model = LogLinear(actions, priors or default_priors(actions), drift or Drift())
        self._p_asked = 1.0 - delta
        self._quantile = _NORMAL.inv_cdf(self._p_asked)
        self._optimism = optimism
        processors = len(self.model.processors)
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
        """The safe action of least energy, or that of least latency when none is safe, both seen with optimism."""
        demand = self._demand(state.task)
        limit = demand.limit
        if self._known.offer(actions) is not self._known.all:
            limit = self._narrowed(demand, state.task, actions)
        self._decisions += 1
        if self._failing:
            limit = self._awake(limit)
        latency, power, variance = self.model.predict(state)
        hope = np.sqrt(variance)
        hope *= self._optimism
        slowest = np.sqrt(self.model.noise_of_actions)
        slowest *= self._quantile
        slowest += latency
        among = (slowest - hope <= limit).nonzero()[0]
        if among.size:
            expected = latency + power
            hope *= _ENERGY_SHARE
            best = np.where(slowest <= limit, expected, np.inf).argmin()
        else:
            among = np.isfinite(limit).nonzero()[0]
            expected = latency
            best = among[latency[among].argmin()]
            self.unsafe_choices += 1
            _log.debug("no action is believed to meet the QoS of %s; taking the fastest", state.task.name)
        chosen = int(among[(expected - hope)[among].argmin()])
        self.explored = bool(chosen != best)
        return self._known.actions[chosen]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learn from an outcome.

        A target that gave no answer is left alone for 2 decisions, after the next failure for 4, and so on. That it
        would have taken longer than the vain attempt is learnt where less was expected.
        """
        index = self._known.index(action)
        p = self.model.processor_of[index]
        if outcome.failed:
            self._failures[p] += 1
            self._failing = True
            self._rest_until[p] = self._decisions + min(2 ** self._failures[p], LONGEST_REST)
        elif self._failing:
            self._failures[p] = 0
            self._failing = any(self._failures)
        ln_latency = log(outcome.latency_s)
        if outcome.failed and ln_latency <= self.model.predict(state)[0][index]:
            return
        self.model.learn(state, index, ln_latency, log(outcome.energy_j) - ln_latency)

    @property
    def nbytes(self) -> int:
        """Size of the posterior, which grows with the tasks it has met."""
        return self.model.posterior.beliefs.nbytes

    def beliefs(self, state: State) -> Beliefs:
        """Medians and P(QoS) of each action; it objects to those outside the safe set."""
        ln_qos = log(state.task.qos_s)
        latency, power, variance = self.model.predict(state)
        noise = self.model.noise_of_actions
        deviation = np.sqrt(variance + noise)
        at_best = latency - self._optimism * np.sqrt(variance) + self._quantile * np.sqrt(noise)

        def spell_out() -> dict[Action, Belief]:
            p_qos = [_NORMAL.cdf(z) for z in ((ln_qos - latency) / deviation).tolist()]
            return {
                action: Belief(
                    latency_s=exp(latency[i]),
                    energy_j=exp(latency[i] + power[i]),
                    p_qos=p_qos[i],
                    objection=f"P(QoS) is below {self._p_asked:.2g} at best" if at_best[i] > ln_qos else None,
                )
                for i, action in enumerate(self._known.actions)
            }

        return spell_out

    def snapshot(self) -> Content:
        """All that was learnt, for `recall`; failures are forgotten."""
        posterior = self.model.posterior
        return lambda: encode_posterior(self._known.actions, posterior)

    def recall(self, content: bytes, name: str) -> None:
        """Go on from what was learnt before. Raises LearntFileError when it is of no use here."""
        self.model.resume(decode_posterior(content, name, self._known.actions))

    def _demand(self, task: Task) -> _Demand:
        demand = self._demands.get(task.name)
        if demand is None:
            limit = self._limit(task, self._known.actions)
            demand = self._demands[task.name] = _Demand(limit, None, limit)
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
        limit = np.full(len(self._known.actions), -np.inf)
        limit[[self._known.index(action) for action in accurate(task, actions)]] = log(task.qos_s)
        return limit


_ENERGY_SHARE = (1.0 + POWER_SHARE**2) ** 0.5
"""deviation of ln(energy) for one of ln(latency)"""


@dataclass(slots=True)
class _Demand:
    """What a task asks of each action."""

    limit: Array
    """ln(QoS); minus infinity where the action is not accurate enough"""
    offer: tuple[Action, ...] | None
    """a part of the actions that was on offer last"""
    narrowed: Array
    """`limit`, minus infinity also where the action is not in `offer`"""
