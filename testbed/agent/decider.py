"""A policy at work on a board: what is on offer to it, what it decided last, and what is to be told to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from scheduler.contract import Action, Outcome, Policy, State
from scheduler.hold import Hold
from scheduler.replay import replay


class Decider:
    """Of one policy, which may hold frequencies over a block."""

    def __init__(self, policy: Policy, actions: Sequence[Action], *, holds: bool) -> None:
        self.policy = policy
        self._actions = actions
        self._hold = Hold() if holds else None
        self._decided: tuple[State, Action] | None = None
        self._pending: tuple[State, Action, Outcome] | None = None

    def decide(self, state: State, block: int) -> tuple[State, Action]:
        """A decision, with the state it was made in."""
        action = self.policy.select(state, self._offered(block))
        self._keep(action)
        self._decided = state, action
        return self._decided

    def again(self) -> tuple[State, Action]:
        """The last decision: one is made once, so that the policy's record can be replayed whatever the meter did."""
        assert self._decided is not None
        return self._decided

    def await_energy(self, outcome: Outcome) -> None:
        """Keep what the last decision brought, until the energy is known too."""
        self._pending = *self.again(), outcome

    def take_pending(self) -> tuple[State, Action, Outcome]:
        """The decision that is to be learnt from, once."""
        assert self._pending is not None
        pending, self._pending = self._pending, None
        return pending

    def replay(self, decisions: Iterable[tuple[int, State, Action, Outcome]]) -> None:
        """Lead the policy through decisions on record, each with its block. Raises `ReplayDivergedError`."""

        def trials() -> Iterator[tuple[State, Sequence[Action], Action, Outcome]]:
            for block, state, action, outcome in decisions:
                yield state, self._offered(block), action, outcome
                self._keep(action)

        replay(self.policy, trials())

    def _offered(self, block: int) -> Sequence[Action]:
        return self._actions if self._hold is None else self._hold.offer(self._actions, block)

    def _keep(self, action: Action) -> None:
        if self._hold is not None:
            self._hold.keep(action)
