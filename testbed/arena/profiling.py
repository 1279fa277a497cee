"""The metered trials that everyone may look at beforehand, and the energy estimator fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scheduler.contract import Action, State
from scheduler.estimator import Estimator
from scheduler.profile import ProfileRecord
from testbed.arena.boards import OpenBoard
from testbed.arena.config import Profiling
from testbed.arena.contract import Sample
from testbed.arena.seeds import stream
from testbed.environments import moments, resolve_environment


@dataclass(frozen=True, slots=True)
class Profiled:
    """What was profiled of a board."""

    records: Mapping[str, tuple[ProfileRecord, ...]]
    """environment -> its trials"""
    estimator: Estimator

    def seen_in(self, environments: list[str] | None) -> tuple[ProfileRecord, ...]:
        """The records of some environments, or of all."""
        return tuple(record for name in environments or self.records for record in self.records[name])


def profile(board: OpenBoard, profiling: Profiling, seed: int) -> Profiled:
    """Try every action in every workload and environment."""
    environments = [resolve_environment(named) for named in profiling.environments]
    records: dict[str, tuple[ProfileRecord, ...]] = {}
    for environment in environments:
        found = []
        for name, job in board.jobs.items():
            chance = stream(seed, "profile", board.name, name, environment.name)
            surroundings = moments(environment, profiling.trials, np.random.default_rng(chance))
            episode = board.world.episode(job, surroundings, surroundings, chance)
            for trial, (state, truth) in enumerate(zip(episode.states, episode.truths, strict=True)):
                samples = ((action, episode.sample(trial, action)) for action in truth)
                found += [_record(state, *each, profiling) for each in samples if not each[1].failed]
        records[environment.name] = tuple(found)
    resting = moments(environments[0], 1, np.random.default_rng(stream(seed, "idle")))[0]
    everything = [record for each in records.values() for record in each]
    return Profiled(records, Estimator.fit(everything, board.world.idle_power_w(resting)))


def _record(state: State, action: Action, sample: Sample, profiling: Profiling) -> ProfileRecord:
    return ProfileRecord(
        state=state,
        action=action,
        latency_s=sample.latency_s,
        transmit_s=sample.transmit_s,
        receive_s=sample.receive_s,
        energy_j=sample.energy_j * profiling.power_error.get(action.target, 1.0),
    )
