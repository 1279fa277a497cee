"""The plan: what a suite asks, in a seeded order of blocks, each held under one condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from testbed.config import Environment, PolicyUse, Suite
from testbed.environments import moments, path_of, resolve_environment
from testbed.moment import Moment
from testbed.network.conditions import Condition, Standard

Kind = Literal["warmup", "profile", "reference", "trial"]
ToCloud = Iterator[Condition] | None


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One trial to be made. Kinds other than "trial" carry the action they are bound to instead of a policy."""

    index: int
    block: int
    kind: Kind
    workload: str
    environment: str
    surroundings: Moment
    """the condition it is made under"""
    policy: str | None = None
    action: str | None = None

    @staticmethod
    def from_dict(entry: Mapping[str, Any]) -> PlannedTrial:
        """Back from the run store. Raises pydantic's ValidationError for what is no planned trial."""
        return TypeAdapter(PlannedTrial).validate_python(entry)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the run store keeps them."""
        return asdict(self)


def build_plan(suite: Suite, seed: int, standard: Standard = "802.11n-ht40") -> list[PlannedTrial]:
    """Every trial of the suite in order. Same suite and seed, same plan. `standard` is that of `read_trace`.

    Block 0 profiles every action under the first environment. Then each environment comes back `repetitions` times, in
    shuffled order, with its share of every policy's trials shuffled inside; a reference trial stands every k trials.
    A trace goes on where the environment's block before left it. Raises BenchError for one that cannot be read.
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
    paths = {environment.name: path_of(environment, standard) for environment in environments}
    trials = list(_profile(suite, environments[0], paths[environments[0].name], rng))
    for block, (environment, part) in enumerate(order, start=1):
        trials.extend(_block(suite, block, environment, paths[environment.name], part, rng))
    return [replace(trial, index=index) for index, trial in enumerate(trials)]


def _profile(suite: Suite, environment: Environment, path: ToCloud, rng: np.random.Generator) -> Iterator[PlannedTrial]:
    pairs = [(workload.name, action) for workload in suite.workloads for action in suite.actions]
    wanted: list[tuple[Kind, str, str]] = [("warmup", *pair) for pair in pairs]
    for _ in range(suite.profile_trials):
        wanted.extend(("profile", *pairs[int(i)]) for i in rng.permutation(len(pairs)))
    around = moments(environment, len(wanted), rng, path)
    for (kind, workload, action), moment in zip(wanted, around, strict=True):
        yield _trial(0, kind, workload, environment, moment, action=action)


def _block(
    suite: Suite, block: int, environment: Environment, path: ToCloud, part: int, rng: np.random.Generator
) -> Iterator[PlannedTrial]:
    wanted = list(_wanted(suite, part, rng))
    around = moments(environment, len(wanted), rng, path)
    for (kind, workload, policy, action), moment in zip(wanted, around, strict=True):
        yield _trial(block, kind, workload, environment, moment, policy, action)


def _wanted(suite: Suite, part: int, rng: np.random.Generator) -> Iterator[tuple[Kind, str, str | None, str | None]]:
    """Kind, workload, policy and action of a block's trials, in order."""
    for workload in suite.workloads:
        for _ in range(suite.warmup_trials):
            yield "warmup", workload.name, None, suite.actions[0]
    decisions = [
        (workload.name, policy.name)
        for workload in suite.workloads
        for policy in suite.policies
        for _ in range(_share(policy, part, suite.repetitions))
    ]
    reference = suite.reference
    for position, i in enumerate(rng.permutation(len(decisions))):
        if reference is not None and position % reference.every == 0:
            yield "reference", suite.workloads[0].name, None, reference.action
        workload_name, policy_name = decisions[int(i)]
        yield "trial", workload_name, policy_name, None


def _trial(
    block: int,
    kind: Kind,
    workload: str,
    environment: Environment,
    moment: Moment,
    policy: str | None = None,
    action: str | None = None,
) -> PlannedTrial:
    return PlannedTrial(0, block, kind, workload, environment.name, moment, policy, action)


def _share(policy: PolicyUse, part: int, parts: int) -> int:
    """Trials of this policy in the part-th of `parts` blocks; the shares add up to its trials."""
    return policy.trials * (part + 1) // parts - policy.trials * part // parts
