"""One ridge regression of the reward for each action: what disjoint linear bandits share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.choices import KnownActions
from scheduler.contract import Action, Outcome, State
from scheduler.explain import Belief, Beliefs
from scheduler.features import as_numbers
from scheduler.rewards import Reward

Array = NDArray[np.float64]


class LinearArms:
    """The reward of each action as a linear function of a constant and the state's features.

    Shrunk towards `initial`, whatever the state: a value as good as the best reward makes each action be tried.
    """

    def __init__(self, actions: Sequence[Action], reward: Reward, initial: float, ridge: float = 1.0) -> None:
        if not ridge > 0.0:
            raise ValueError(f"linear bandit: ridge must be above 0, got {ridge}")
        self.known = KnownActions(actions)
        self.reward = reward
        self.last_reward: float | None = None
        arms, size = len(self.known.actions), 1 + FEATURES
        self._inverse = np.tile(np.eye(size) / ridge, (arms, 1, 1))
        self._moments = np.zeros((arms, size))
        self._moments[:, 0] = ridge * initial
        self._weights = self._moments / ridge

    def predict(self, state: State) -> tuple[Array, Array]:
        """Expected reward of each action, and the width sqrt(x' A^-1 x) of what is not known of it."""
        x = _context(state)
        return self._weights @ x, np.sqrt((self._inverse @ x) @ x)

    @property
    def nbytes(self) -> int:
        """Size of the regressions."""
        return self._inverse.nbytes + self._moments.nbytes + self._weights.nbytes

    def beliefs(self, state: State) -> Beliefs:
        """Expected rewards."""
        expected = self.predict(state)[0]
        return lambda: {
            action: Belief(value=value) for action, value in zip(self.known.actions, expected.tolist(), strict=True)
        }

    def learn(self, state: State, action: Action, outcome: Outcome) -> None:
        """Sherman-Morrison update of one action's regression."""
        i, x = self.known.index(action), _context(state)
        self.last_reward = self.reward(state.task, outcome)
        direction = self._inverse[i] @ x
        self._inverse[i] -= np.outer(direction, direction) / (1.0 + x @ direction)
        self._moments[i] += self.last_reward * x
        self._weights[i] = self._inverse[i] @ self._moments[i]


FEATURES = 8


def _context(state: State) -> Array:
    return np.array((1.0, *as_numbers(state)))
