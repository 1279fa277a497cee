"""One inference as an engine records it: what was decided, why, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.choices import accurate
from scheduler.contract import Action, Outcome, State, Task
from scheduler.explain import Belief, Beliefs, Candidate, Explanation


@dataclass(slots=True, eq=False)
class Decision:
    """Filled in as the inference goes on."""

    number: int
    task: Task
    state: State | None
    """None where what was observed could not be used"""
    action: Action
    grounds: str
    shut_off: Mapping[str, str]
    """target -> why it could not be used"""
    explored: bool = False
    """whether the policy took other than what looked best to it"""
    probing: bool = False
    """whether it finds out if a target answers again"""
    beliefs: Beliefs | None = None
    """what the policy believed; None where it was not asked, or does not tell"""
    runs: list[tuple[Action, Outcome]] = field(default_factory=list)
    """what it brought; a second one on the fallback where the first gave no answer"""
    problems: list[str] = field(default_factory=list)
    """all that went wrong on the way"""


def explain(decision: Decision, actions: Sequence[Action]) -> Explanation:
    """Why it ran where it ran, with all of the `actions` there were."""
    beliefs = {} if decision.beliefs is None else decision.beliefs()
    allowed = accurate(decision.task, actions)

    def against(action: Action) -> str | None:
        if action not in allowed:
            accuracy, target = decision.task.accuracy[action.precision], decision.task.accuracy_target
            return f"accuracy {accuracy:.3g} is below {target:.3g}"
        return decision.shut_off.get(action.target) or beliefs.get(action, Belief()).objection

    return Explanation(
        task=decision.task.name,
        state=decision.state,
        action=decision.action,
        grounds=decision.grounds,
        explored=decision.explored,
        outcome="; ".join([*decision.problems, *(_in_words(decision, *run) for run in decision.runs)]) or "none yet",
        candidates=tuple(Candidate(action, beliefs.get(action, Belief()), against(action)) for action in actions),
    )


def _in_words(decision: Decision, action: Action, outcome: Outcome) -> str:
    if outcome.failed:
        return f"{action} in vain for {1e3 * outcome.latency_s:.3g} ms"
    late = "in time" if outcome.latency_s <= decision.task.qos_s else "late"
    return f"{action} in {1e3 * outcome.latency_s:.3g} ms ({late}), {1e3 * outcome.energy_j:.3g} mJ estimated"
