"""The plan: what a suite asks, in a seeded order of blocks, each held under one condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from testbed.config import Environment, PolicyUse, Suite
from testbed.environments import resolve_environment

Kind = Literal["warmup", "profile", "reference", "trial"]
SIGNAL_RANGE_DBM = (-85.0, -50.0)
"""the range the measured goodput table covers"""


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One trial to be made. Kinds other than "trial" carry the action they are bound to instead of a policy."""

    index: int
    block: int
    kind: Kind
    workload: str
    environment: str
    rssi_dbm: float
    policy: str | None = None
    action: str | None = None

    @staticmethod
    def from_dict(entry: Mapping[str, Any]) -> PlannedTrial:
        """Back from the run store. Raises pydantic's ValidationError for what is no planned trial."""
        return TypeAdapter(PlannedTrial).validate_python(entry)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the run store keeps them."""
        return asdict(self)


def build_plan(suite: Suite, seed: int) -> list[PlannedTrial]:
    """Every trial of the suite in order. Same suite and seed, same plan.

    Block 0 profiles every action under the first environment. Then each environment comes back `repetitions` times, in
    shuffled order, with its share of every policy's trials shuffled inside; a reference trial stands every k trials.
    """
    rng = np.random.default_rng([seed, 0x91A7])
    environments = [resolve_environment(named) for named in suite.environments]
    visits = [(env, part) for part in range(suite.repetitions) for env in environments]
    # Each round visits every environment once, so that time and environment are not confounded.
    order = [
        visits[round_start + int(i)]
        for round_start in range(0, len(visits), len(environments))
        for i in rng.permutation(len(environments))
    ]
    trials = list(_profile(suite, environments[0], rng))
    for block, (environment, part) in enumerate(order, start=1):
        trials.extend(_block(suite, block, environment, part, rng))
    return [replace(trial, index=index) for index, trial in enumerate(trials)]


def _profile(suite: Suite, environment: Environment, rng: np.random.Generator) -> Iterator[PlannedTrial]:
    def trial(kind: Kind, workload: str, action: str) -> PlannedTrial:
        return PlannedTrial(0, 0, kind, workload, environment.name, environment.rssi_dbm, action=action)

    pairs = [(w.name, action) for w in suite.workloads for action in suite.actions]
    for workload, action in pairs:
        yield trial("warmup", workload, action)
    for _ in range(suite.profile_trials):
        for i in rng.permutation(len(pairs)):
            yield trial("profile", *pairs[int(i)])


def _block(
    suite: Suite, block: int, environment: Environment, part: int, rng: np.random.Generator
) -> Iterator[PlannedTrial]:
    def trial(kind: Kind, workload: str, policy: str | None = None, action: str | None = None) -> PlannedTrial:
        rssi_dbm = environment.rssi_dbm
        if environment.rssi_std_db:
            drawn = rng.normal(rssi_dbm, environment.rssi_std_db)
            rssi_dbm = round(float(np.clip(drawn, *SIGNAL_RANGE_DBM)), 1)
        return PlannedTrial(0, block, kind, workload, environment.name, rssi_dbm, policy, action)

    for workload in suite.workloads:
        for _ in range(suite.warmup_trials):
            yield trial("warmup", workload.name, action=suite.actions[0])
    decisions = [
        (workload.name, policy.name)
        for workload in suite.workloads
        for policy in suite.policies
        for _ in range(_share(policy, part, suite.repetitions))
    ]
    reference = suite.reference
    for position, i in enumerate(rng.permutation(len(decisions))):
        if reference is not None and position % reference.every == 0:
            yield trial("reference", suite.workloads[0].name, action=reference.action)
        workload_name, policy_name = decisions[int(i)]
        yield trial("trial", workload_name, policy=policy_name)


def _share(policy: PolicyUse, part: int, parts: int) -> int:
    """Trials of this policy in the part-th of `parts` blocks; the shares add up to its trials."""
    return policy.trials * (part + 1) // parts - policy.trials * part // parts
