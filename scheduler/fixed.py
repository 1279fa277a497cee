"""Policies that do not learn: one target for ever, a table made beforehand, or chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from scheduler.choices import NothingToChooseError, accurate
from scheduler.contract import REMOTE_TARGETS, Action, Outcome, State, Task
from scheduler.profile import Profile


class Always:
    """Takes the action that a rule prefers among those on offer, whatever the state."""

    def __init__(self, name: str, eligible: Callable[[Action], bool]) -> None:
        self._name, self._eligible = name, eligible

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """The eligible action of the widest precision at the highest frequency. Raises NothingToChooseError."""
        eligible = [action for action in actions if self._eligible(action)]
        if not eligible:
            raise NothingToChooseError(
                f"{self._name}: none of the {len(actions)} actions on offer fits; add one to the suite"
            )
        return max(eligible, key=lambda action: (_WIDTH[action.precision], action.frequency_hz or 0.0))

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learns nothing."""


_WIDTH = {"fp32": 32, "fp16": 16, "int8": 8}


def edge_cpu_fp32() -> Always:
    """Edge (CPU FP32): the CPU in single precision at its highest frequency."""
    return Always("edge-cpu-fp32", lambda action: action.target == "cpu" and action.precision == "fp32")


def cloud() -> Always:
    """Cloud: always offload, at the widest precision the server has."""
    return Always("cloud", lambda action: action.target == "cloud")


def connected_edge() -> Always:
    """Connected Edge: always offload to the device nearby, at its widest precision."""
    return Always("connected-edge", lambda action: action.target == "edge")


Preference = Callable[[Task, Mapping[Action, Outcome]], Action]
"""task, profiled outcomes of the candidates -> the one to take"""


class StaticTable:
    """The preferred action of a profile. A co-runner or a weak signal changes nothing of its choice.

    `eligible` says which actions it may take: those of the board for Edge (Best), all for the best fixed choice.
    """

    def __init__(self, name: str, profile: Profile, eligible: Callable[[Action], bool], preference: Preference) -> None:
        self._name, self._profile, self._eligible, self._preference = name, profile, eligible, preference

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """Raises NothingToChooseError when no action on offer was profiled for this task."""
        task = state.task
        profiled = self._profile.get(task.name, {})
        candidates = [action for action in actions if action in profiled and self._eligible(action)]
        if not candidates:
            raise NothingToChooseError(
                f"{self._name}: no action on offer was profiled for task '{task.name}'; profile it first"
            )
        return self._preference(task, {action: profiled[action] for action in accurate(task, candidates)})

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learns nothing."""


def least_energy(task: Task, candidates: Mapping[Action, Outcome]) -> Action:
    """The least energy among those in time; else the fastest."""
    in_time = [action for action, outcome in candidates.items() if outcome.latency_s <= task.qos_s]
    if in_time:
        return min(in_time, key=lambda action: candidates[action].energy_j)
    return fastest(task, candidates)


def fastest(task: Task, candidates: Mapping[Action, Outcome]) -> Action:
    """The least latency."""
    return min(candidates, key=lambda action: candidates[action].latency_s)


def _on_board(action: Action) -> bool:
    return action.target not in REMOTE_TARGETS


def edge_best(profile: Profile) -> StaticTable:
    """Edge (Best): the best processor and frequency of the board itself."""
    return StaticTable("edge-best", profile, _on_board, least_energy)


def static_best(profile: Profile) -> StaticTable:
    """The best fixed choice for each task, remote targets included."""
    return StaticTable("static-best", profile, lambda action: True, least_energy)


def race_to_idle(profile: Profile) -> StaticTable:
    """The board's fastest accurate action, to be idle again the sooner."""
    return StaticTable("race-to-idle", profile, _on_board, fastest)


class RandomChoice:
    """Any action on offer, each as likely."""

    explored = True

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """Draws once."""
        return actions[int(self._random() * len(actions))]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learns nothing."""
