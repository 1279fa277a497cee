"""Metered trials of single actions: what estimators and tables are calibrated with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scheduler.contract import Action, Outcome, State


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """One metered trial; times and energy are means of one inference."""

    state: State
    action: Action
    latency_s: float
    transmit_s: float
    """time the radio spent sending; 0 on the board"""
    receive_s: float
    """time the radio spent receiving; 0 on the board"""
    energy_j: float
    """whole-board energy from the power meter"""

    @property
    def outcome(self) -> Outcome:
        """What a policy would have learnt from this trial."""
        return Outcome(self.latency_s, self.energy_j, self.state.task.accuracy[self.action.precision])


Profile = Mapping[str, Mapping[Action, Outcome]]
"""task name -> action -> mean outcome"""


def mean_outcomes(records: Sequence[ProfileRecord]) -> Profile:
    """Mean latency and energy of each action in each task, over whatever conditions the records hold."""
    groups: dict[str, dict[Action, list[ProfileRecord]]] = {}
    for record in records:
        groups.setdefault(record.state.task.name, {}).setdefault(record.action, []).append(record)
    return {
        task: {
            action: Outcome(
                latency_s=sum(record.latency_s for record in group) / len(group),
                energy_j=sum(record.energy_j for record in group) / len(group),
                accuracy=group[0].outcome.accuracy,
            )
            for action, group in actions.items()
        }
        for task, actions in groups.items()
    }
