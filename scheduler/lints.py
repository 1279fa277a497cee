"""LinTS: the action whose sampled reward is the best (Agrawal and Goyal, ICML 2013), disjoint models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.arms import LinearArms
from scheduler.contract import Action, Outcome, State
from scheduler.explain import Beliefs
from scheduler.rewards import QosPenaltyReward, Reward


class LinTs:
    """Thompson sampling. The reward of a disjoint model, at one state, is one Gaussian an action; those are drawn."""

    def __init__(
        self,
        actions: Sequence[Action],
        seed: int,
        *,
        reward: Reward | None = None,
        width: float = 0.3,
        initial: float = 5.0,
    ) -> None:
        """`initial` is the reward expected of an untried action: by default that of 7 mJ in time."""
        self._arms = LinearArms(actions, reward or QosPenaltyReward(), initial)
        self._width = width
        self._normal = np.random.Generator(np.random.PCG64(seed)).standard_normal
        self.explored = False
        """whether the last action is other than the one of the best expected reward"""

    @property
    def last_reward(self) -> float | None:
        """Reward of the last outcome."""
        return self._arms.last_reward

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """The greatest reward drawn."""
        offer = self._arms.known.offer(actions)
        expected, unknown = self._arms.predict(state)
        drawn = expected + self._width * unknown * self._normal(len(expected))
        chosen = offer[int(drawn[offer].argmax())]
        self.explored = chosen != offer[int(expected[offer].argmax())]
        return self._arms.known.actions[chosen]

    def beliefs(self, state: State) -> Beliefs:
        """Expected rewards."""
        return self._arms.beliefs(state)

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learn from an outcome."""
        self._arms.learn(state, action, outcome)
