"""The metered trials that everyone may look at beforehand, and the energy estimator fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.contract import Action, State
from scheduler.estimator import Estimator
from scheduler.profile import ProfileRecord
from testbed.arena.boards import OpenBoard, Plan
from testbed.arena.config import Profiling
from testbed.arena.contract import Sample
from testbed.arena.seeds import stream
from testbed.environments import resolve_environment


@dataclass(frozen=True, slots=True)
class Profiled:
    """What was profiled of a board."""

    records: Mapping[str, tuple[ProfileRecord, ...]]
    """environment -> its trials"""
    estimator: Estimator | None
    """None where the idle power is not known: policies are then told what was measured"""

    def seen_in(self, environments: list[str] | None) -> tuple[ProfileRecord, ...]:
        """The records of some environments, or of all."""
        return tuple(record for name in environments or self.records for record in self.records[name])


def profile(plan: Plan, board: OpenBoard, profiling: Profiling, seed: int) -> Profiled:
    """Try every action in every workload and environment there is."""
    records: dict[str, tuple[ProfileRecord, ...]] = {}
    for environment in map(resolve_environment, profiling.environments):
        found = []
        for name, job in plan.jobs.items():
            if not board.has(job, environment):
                continue
            chance = stream(seed, "profile", plan.name, name, environment.name)
            episode = board.episode(job, environment, profiling.trials, chance)
            for trial, (state, truth) in enumerate(zip(episode.states, episode.truths, strict=True)):
                samples = ((action, episode.sample(trial, action)) for action in truth)
                found += [_record(state, *each, profiling) for each in samples if not each[1].failed]
        records[environment.name] = tuple(found)
    everything = [record for each in records.values() for record in each]
    idle_power_w = board.idle_power_w
    return Profiled(records, None if idle_power_w is None else Estimator.fit(everything, idle_power_w))


def _record(state: State, action: Action, sample: Sample, profiling: Profiling) -> ProfileRecord:
    return ProfileRecord(
        state=state,
        action=action,
        latency_s=sample.latency_s,
        transmit_s=sample.transmit_s,
        receive_s=sample.receive_s,
        energy_j=sample.energy_j * profiling.power_error.get(action.target, 1.0),
    )
