"""LinUCB: the action whose reward might be the best (Li et al., WWW 2010), disjoint models."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.arms import LinearArms
from scheduler.contract import Action, Outcome, State
from scheduler.explain import Beliefs
from scheduler.rewards import QosPenaltyReward, Reward


class LinUcb:
    """Optimism in the face of uncertainty; draws nothing at random."""

    def __init__(
        self, actions: Sequence[Action], *, reward: Reward | None = None, width: float = 0.3, initial: float = 5.0
    ) -> None:
        """`initial` is the reward expected of an untried action: by default that of 7 mJ in time."""
        self._arms = LinearArms(actions, reward or QosPenaltyReward(), initial)
        self._width = width
        self.explored = False
        """whether the last action is other than the one of the best expected reward"""

    @property
    def last_reward(self) -> float | None:
        """Reward of the last outcome."""
        return self._arms.last_reward

    @property
    def nbytes(self) -> int:
        """Size of the regressions."""
        return self._arms.nbytes

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """The greatest expected reward plus `width` times what is not known of it."""
        offer = self._arms.known.offer(actions)
        expected, unknown = self._arms.predict(state)
        bound = expected + self._width * unknown
        chosen = offer[int(bound[offer].argmax())]
        self.explored = chosen != offer[int(expected[offer].argmax())]
        return self._arms.known.actions[chosen]

    def beliefs(self, state: State) -> Beliefs:
        """Expected rewards."""
        return self._arms.beliefs(state)

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learn from an outcome."""
        self._arms.learn(state, action, outcome)
