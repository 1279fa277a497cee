"""Bringing a policy back to where it was, from the decisions on record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scheduler.contract import Action, Outcome, Policy, State


class ReplayDivergedError(ValueError):
    """The policy decides otherwise than it did when the run was recorded."""


def replay(policy: Policy, trials: Iterable[tuple[State, Sequence[Action], Action, Outcome]]) -> None:
    """Lead a freshly built policy through recorded trials, in their order: the state, what was on offer, what it chose.

    A policy draws from its seeded generator in `select` alone, so the same seed, states and outcomes give the same
    decisions. Raises ReplayDivergedError at the first that differs: another seed, options, actions or program.
    """
    for number, (state, offered, recorded, outcome) in enumerate(trials, start=1):
        action = policy.select(state, offered)
        if action != recorded:
            raise ReplayDivergedError(
                f"decision {number}: the policy now picks {action} where the run on record has {recorded}; "
                "its seed, options or actions have changed"
            )
        policy.update(state, action, outcome)
