"""Measured trials played again: an action's outcome is one of those recorded of it under the same condition."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.contract import Action, Means, State, Task
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
class Trial:
    """One recorded inference."""

    workload: str
    environment: str
    bin: Hashable
    """trials of one environment in one bin met the same condition"""
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


class Replay:
    """Implements `OpenBoard`. A drift cannot be replayed: nobody recorded it."""

    def __init__(self, records: Records) -> None:
        self.idle_power_w = records.idle_power_w
        self._pools: dict[tuple[str, str, Hashable], dict[Action, list[Sample]]] = {}
        self._met: dict[tuple[str, str], list[tuple[Surroundings, Hashable]]] = {}
        self._truths: dict[tuple[str, str, Hashable], Truth] = {}
        for trial in records.trials:
            pool = self._pools.setdefault((trial.workload, trial.environment, trial.bin), {})
            pool.setdefault(trial.action, []).append(trial.sample)
        for trial in records.trials:
            if len(self._pools[trial.workload, trial.environment, trial.bin]) >= LEAST_ACTIONS:
                met = self._met.setdefault((trial.workload, trial.environment), [])
                met.append((trial.surroundings, trial.bin))

    def has(self, job: Job, cell: Environment | Drift) -> bool:
        """Whether two actions or more were recorded there under one condition."""
        return isinstance(cell, Environment) and (job.task.name, cell.name) in self._met

    def episode(self, job: Job, cell: Environment | Drift, trials: int, seed: Sequence[int]) -> ReplayedEpisode:
        """Conditions drawn from those recorded in the cell, as often as they were; raises KeyError where none were."""
        met = self._met[job.task.name, cell.name]
        picks = np.random.default_rng([*seed, 0]).integers(len(met), size=trials)
        states = [met[i][0].state(job.task) for i in picks]
        keys = [(job.task.name, cell.name, met[i][1]) for i in picks]
        for key in keys:
            if key not in self._truths:
                self._truths[key] = {a: _means(samples, job.task.qos_s) for a, samples in self._pools[key].items()}
        return ReplayedEpisode(states, [self._truths[key] for key in keys], [self._pools[key] for key in keys], seed)


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
