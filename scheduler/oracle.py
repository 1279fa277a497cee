"""Opt, the clairvoyant: what could have been chosen, and how far a choice was from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scheduler.choices import accurate
from scheduler.contract import Action, Means, Outcome, State, Task, TrueMeans

SURE = 0.99
"""P(latency <= QoS) that counts as meeting it"""

Grounds = Literal["least energy", "none meets QoS", "none meets accuracy"]


@dataclass(frozen=True, slots=True)
class Choice:
    """An action, and why it."""

    action: Action
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class Score:
    """A chosen action beside Opt's. A gap below zero is energy saved by missing a constraint that Opt kept."""

    exact: bool
    energy_gap: float
    """(energy - Opt's) / Opt's, of true means"""
    feasible: bool
    """whether any action meets QoS and accuracy"""
    met: bool
    """whether the chosen one does"""


def decide(task: Task, means: Mapping[Action, Means]) -> Choice:
    """Least true mean energy among accurate actions with P(latency <= QoS) >= 0.99, else the fastest of the accurate.

    Where no action meets the accuracy target, the same among the most accurate ones, and the grounds say so.
    """
    candidates = accurate(task, list(means))
    in_time = [action for action in candidates if means[action].p_qos >= SURE]
    if in_time:
        action = min(in_time, key=lambda action: means[action].energy_j)
    else:
        action = min(candidates, key=lambda action: means[action].latency_s)
    if task.accuracy[action.precision] < task.accuracy_target:
        return Choice(action, "none meets accuracy")
    return Choice(action, "least energy" if in_time else "none meets QoS")


def choose(task: Task, means: Mapping[Action, Means]) -> Action:
    """The action of `decide`."""
    return decide(task, means).action


def score(task: Task, means: Mapping[Action, Means], chosen: Action) -> Score:
    """How the chosen action compares with Opt's."""
    best = decide(task, means)
    energy_j = means[best.action].energy_j
    return Score(
        exact=chosen == best.action,
        energy_gap=(means[chosen].energy_j - energy_j) / energy_j,
        feasible=best.grounds == "least energy",
        met=means[chosen].p_qos >= SURE and task.accuracy[chosen.precision] >= task.accuracy_target,
    )


class Opt:
    """Chooses by the true means of the present moment; only a simulated board has them."""

    def __init__(self, true_means: TrueMeans) -> None:
        self._true_means = true_means
        self.grounds: Grounds | None = None
        """why the last action was chosen"""

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """Opt's action."""
        means = dict(zip(actions, self._true_means(state.task, actions), strict=True))
        choice = decide(state.task, means)
        self.grounds = choice.grounds
        return choice.action

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Has nothing to learn."""
