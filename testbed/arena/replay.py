"""Measured trials played again: an action's outcome is one of those recorded of it under the same condition."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.contract import REMOTE_TARGETS, Action, Means, State, Task
from testbed.arena.config import Drift
from testbed.arena.contract import Job, Sample, Truth
from testbed.config import Environment


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a board observed of a recorded trial."""

    co_cpu: float
    co_memory: float
    rssi_dbm: float
    peer_rssi_dbm: float

    def state(self, task: Task) -> State:
        """Of a task in it."""
        return State(task, self.co_cpu, self.co_memory, self.rssi_dbm, self.peer_rssi_dbm)


@dataclass(frozen=True, slots=True)
class Condition:
    """What surrounded a trial, in bins: trials in one bin met the same."""

    load: tuple[int, int]
    """of the co-runner's CPU and memory, in tenths"""
    signal: int
    """towards the cloud, in tens of dBm"""
    peer_signal: int

    def of(self, action: Action) -> Hashable:
        """As far as it concerns an action: the air is nothing to a processor of the board."""
        if action.target not in REMOTE_TARGETS:
            return self.load
        return self.load, self.signal if action.target == "cloud" else self.peer_signal


@dataclass(frozen=True, slots=True)
class Trial:
    """One recorded inference."""

    workload: str
    environment: str
    condition: Condition
    surroundings: Surroundings
    action: Action
    sample: Sample


@dataclass(frozen=True, slots=True)
class Records:
    """All that is known of a board."""

    provenance: str
    actions: tuple[Action, ...]
    trials: tuple[Trial, ...]
    accuracy: Mapping[str, Mapping[str, float]]
    """workload -> precision -> accuracy"""
    idle_power_w: float | None
    notes: tuple[str, ...]


LEAST_ACTIONS = 2
"""a condition in which fewer were recorded leaves nothing to choose, and is left out"""
_Pool = Mapping[Action, Sequence[Sample]]
_Place = tuple[str, str, Condition]
"""workload, environment, condition"""


def pools(trials: Iterable[Trial]) -> dict[_Place, dict[Action, list[Sample]]]:
    """What was recorded of each action in each place, with that of conditions which differ in nothing to the action."""
    by_action: dict[tuple[str, str, Action, Hashable], list[Sample]] = {}
    places: dict[_Place, None] = {}
    actions: dict[Action, None] = {}
    for trial in trials:
        key = trial.workload, trial.environment, trial.action, trial.condition.of(trial.action)
        by_action.setdefault(key, []).append(trial.sample)
        places[trial.workload, trial.environment, trial.condition] = None
        actions[trial.action] = None
    return {
        (workload, environment, condition): {
            action: samples
            for action in actions
            if (samples := by_action.get((workload, environment, action, condition.of(action))))
        }
        for workload, environment, condition in places
    }


def missing(trials: Sequence[Trial], workloads: Sequence[str]) -> list[str]:
    """What a replay cannot offer for want of recorded trials, in words."""
    found = pools(trials)
    every = len({trial.action for trial in trials})
    notes = [f"workload {name}: nothing recorded" for name in workloads if not any(name == key[0] for key in found)]
    for cell in dict.fromkeys((workload, environment) for workload, environment, _ in found):
        offered = [len(pool) for key, pool in found.items() if key[:2] == cell]
        if lacking := every * len(offered) - sum(offered):
            few = sum(count < LEAST_ACTIONS for count in offered)
            notes.append(
                f"{cell[0]}, {cell[1]}: {lacking} of {every * len(offered)} pairs of action and condition have no "
                f"recorded trial; {few} of {len(offered)} conditions are left out for want of a choice"
            )
    return notes


class Replay:
    """Implements `OpenBoard`. A drift cannot be replayed: nobody recorded it."""

    def __init__(self, records: Records) -> None:
        self.idle_power_w = records.idle_power_w
        self._pools = {key: pool for key, pool in pools(records.trials).items() if len(pool) >= LEAST_ACTIONS}
        self._truths: dict[_Place, Truth] = {}
        self._met: dict[tuple[str, str], list[tuple[Surroundings, Condition]]] = {}
        for trial in records.trials:
            if (trial.workload, trial.environment, trial.condition) in self._pools:
                met = self._met.setdefault((trial.workload, trial.environment), [])
                met.append((trial.surroundings, trial.condition))

    def has(self, job: Job, cell: Environment | Drift) -> bool:
        """Whether two actions or more were recorded there under one condition."""
        return isinstance(cell, Environment) and (job.task.name, cell.name) in self._met

    def episode(self, job: Job, cell: Environment | Drift, trials: int, seed: Sequence[int]) -> ReplayedEpisode:
        """Conditions drawn from those recorded in the cell, as often as they were; raises KeyError where none were."""
        met = self._met[job.task.name, cell.name]
        picks = np.random.default_rng([*seed, 0]).integers(len(met), size=trials)
        states = [met[i][0].state(job.task) for i in picks]
        places = [(job.task.name, cell.name, met[i][1]) for i in picks]
        for place in places:
            if place not in self._truths:
                self._truths[place] = {a: _means(samples, job.task.qos_s) for a, samples in self._pools[place].items()}
        return ReplayedEpisode(
            states, [self._truths[key] for key in places], [self._pools[key] for key in places], seed
        )


class ReplayedEpisode:
    """Implements `Episode`."""

    def __init__(
        self, states: Sequence[State], truths: Sequence[Truth], pools: Sequence[_Pool], seed: Sequence[int]
    ) -> None:
        self.states, self.truths, self._pools = states, truths, pools
        self._luck = np.random.default_rng([*seed, 1]).random(len(states)).tolist()

    def sample(self, trial: int, action: Action) -> Sample:
        """Raises KeyError for an action that was not recorded under the trial's condition."""
        samples = self._pools[trial][action]
        return samples[int(self._luck[trial] * len(samples))]


def _means(samples: Sequence[Sample], qos_s: float) -> Means:
    """Over all that was recorded of an action under a condition."""
    in_time = [not sample.failed and sample.latency_s <= qos_s for sample in samples]
    return Means(
        energy_j=float(np.mean([sample.energy_j for sample in samples])),
        latency_s=float(np.mean([sample.latency_s for sample in samples])),
        p_qos=float(np.mean(in_time)),
    )
