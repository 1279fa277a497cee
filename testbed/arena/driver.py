"""The loop every policy goes through: observe, decide, run, learn. It is the loop of the agent on a board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scheduler.contract import Action, Means, Outcome, Policy, State, Task
from testbed.arena.contract import Episode, Sample, Truth

Meter = Callable[[State, Action, Sample], float]
"""the energy in J that a policy is told of an inference"""


@dataclass(slots=True)
class Decisions:
    """What a policy did in an episode, trial by trial."""

    actions: list[Action] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    explored: list[bool] = field(default_factory=list)


class Clairvoyant:
    """Implements `TrueMeans` of the trial that the driver is at."""

    def __init__(self) -> None:
        self.truth: Truth = {}

    def __call__(self, task: Task, actions: Sequence[Action]) -> Sequence[Means]:
        """Of the actions on offer."""
        return [self.truth[action] for action in actions]


def drive(policy: Policy, episode: Episode, meter: Meter, clairvoyant: Clairvoyant) -> Decisions:
    """Let a policy decide every trial of an episode, and learn from each outcome."""
    decisions = Decisions()
    offers: dict[int, tuple[Action, ...]] = {}
    for trial, (state, truth) in enumerate(zip(episode.states, episode.truths, strict=True)):
        offer = offers.get(id(truth))
        if offer is None:
            offer = offers[id(truth)] = tuple(truth)
        clairvoyant.truth = truth
        action = policy.select(state, offer)
        sample = episode.sample(trial, action)
        accuracy = state.task.accuracy[action.precision]
        outcome = Outcome(sample.latency_s, meter(state, action, sample), accuracy, sample.failed)
        decisions.actions.append(action)
        decisions.samples.append(sample)
        decisions.explored.append(bool(getattr(policy, "explored", False)))
        policy.update(state, action, outcome)
    return decisions
