"""AutoScale: tabular Q-learning over the binned state (Kim and Wu, MICRO 2020, arXiv 2005.02544)."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from scheduler.choices import KnownActions
from scheduler.contract import Action, Outcome, State
from scheduler.explain import Belief, Beliefs
from scheduler.features import PUBLISHED_BINS, Bins, RowIndex
from scheduler.files import LearntFileError
from scheduler.rewards import PublishedReward, Reward
from scheduler.table import Table, decode, decode_table, encode, encode_table, require, save_table
from scheduler.writer import Content


class AutoScale:
    """Epsilon-greedy Q-learning, 16 bits a value.

    Learning rate 0.9, discount 0.1 and epsilon 0.1 are the paper's (recalled).

    The next state is taken to be the present one. The paper trains on runs of inferences of one network under one
    condition, where it is; and since no action changes the state, the best value of whichever state came next would add
    the same unknown to all actions: noise. What an inference taught is so in the table before the next decision.

    A row starts at `initial` in every column. 0, above any reward that costs energy, makes a row try every action once
    before it settles; where rewards are positive it makes the row keep the first that is. Ties go to the action that
    stands first.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        seed: int,
        *,
        reward: Reward | None = None,
        bins: Bins = PUBLISHED_BINS,
        learning_rate: float = 0.9,
        discount: float = 0.1,
        epsilon: float = 0.1,
        initial: float = 0.0,
    ) -> None:
        for name, value in (("learning_rate", learning_rate), ("discount", discount), ("epsilon", epsilon)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"AutoScale: {name} must be in 0..1, got {value}")
        self._known = KnownActions(actions)
        self._rows = RowIndex(bins)
        self.reward: Reward = reward if reward is not None else PublishedReward()
        self._learning_rate, self._discount, self._epsilon = learning_rate, discount, epsilon
        self._random = Random(seed).random
        self._seen: State | None = None
        self._seen_row = 0
        self._take(np.full((bins.rows, len(self._known.actions)), encode(initial), np.int16))
        self.explored = False
        """whether the last decision was drawn at random"""
        self.last_reward: float | None = None

    @classmethod
    def from_table(
        cls,
        table: Table,
        actions: Sequence[Action],
        seed: int,
        *,
        reward: Reward | None = None,
        learning_rate: float = 0.9,
        discount: float = 0.1,
        epsilon: float = 0.1,
    ) -> AutoScale:
        """Go on from a trained table, such as `load_table` reads.

        Raises LearntFileError when it belongs to other actions or another reward.
        """
        policy = cls(
            actions,
            seed,
            reward=reward,
            bins=table.bins,
            learning_rate=learning_rate,
            discount=discount,
            epsilon=epsilon,
        )
        require(table, policy._known.actions, policy.reward.name)
        policy._take(table.codes.copy())
        return policy

    def save(self, path: Path) -> None:
        """Write the table, with the actions, bins and reward it belongs to."""
        save_table(path, self.table)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_cells"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cells = self._codes.data

    @property
    def table(self) -> Table:
        """A copy of what has been learnt."""
        return Table(self._known.actions, self._rows.bins, self.reward.name, self._codes.copy())

    def beliefs(self, state: State) -> Beliefs:
        """The values of the state's row."""
        codes = self._codes[self._rows(state)].copy()
        return lambda: {
            action: Belief(value=decode(code)) for action, code in zip(self._known.actions, codes.tolist(), strict=True)
        }

    def snapshot(self) -> Content:
        """The table, for `recall` and as `load_table` reads it."""
        table = self.table
        return lambda: encode_table(table)

    def recall(self, content: bytes, name: str) -> None:
        """Go on from a trained table. Raises LearntFileError when it is of no use here."""
        table = decode_table(content, name)
        require(table, self._known.actions, self.reward.name)
        if table.bins != self._rows.bins:
            raise LearntFileError(f"{name}: the table has other bins than this policy; build the policy from it")
        self._take(table.codes)

    @property
    def nbytes(self) -> int:
        """Size of the table."""
        return self._codes.nbytes

    def value(self, state: State, action: Action) -> float:
        """What the table says of an action in a state."""
        return decode(self._cells[self._rows(state), self._known.index(action)])

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """The best action of the state's row, or with probability epsilon any of those on offer."""
        known = self._known
        offer = known.offer(actions)
        if self._random() < self._epsilon:
            self.explored = True
            return known.actions[offer[int(self._random() * len(offer))]]
        self.explored = False
        row = self._row(state)
        if offer is known.all:
            return known.actions[self._best[row]]
        cells = self._cells
        return known.actions[max(offer, key=lambda i: cells[row, i])]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Q += learning_rate * (R + discount * max Q - Q). Raises ValueError when the reward is not a number."""
        reward = self.last_reward = self.reward(state.task, outcome)
        if isnan(reward):
            raise ValueError(f"AutoScale: the reward of {action} is not a number; its outcome was {outcome}")
        row, i = self._row(state), self._known.index(action)
        cells, best = self._cells, self._best[row]
        old = cells[row, i]
        value = decode(old)
        new = encode(value + self._learning_rate * (reward + self._discount * decode(cells[row, best]) - value))
        cells[row, i] = new
        if i == best:
            if new < old:
                self._best[row] = int(self._codes[row].argmax())
        elif new > cells[row, best] or (new == cells[row, best] and i < best):
            self._best[row] = i

    def _row(self, state: State) -> int:
        if state is not self._seen:
            self._seen, self._seen_row = state, self._rows(state)
        return self._seen_row

    def _take(self, codes: np.ndarray[tuple[int, int], np.dtype[np.int16]]) -> None:
        self._codes = codes
        self._cells = codes.data
        self._best: list[int] = codes.argmax(axis=1).tolist()
