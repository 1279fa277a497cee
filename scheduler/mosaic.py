"""Constraint-aware placement over all processors, after MOSAIC (Han et al., PACT 2019)."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.choices import NothingToChooseError, accurate
from scheduler.contract import Action, Outcome, State
from scheduler.placement import PlacementModel
from scheduler.profile import ProfileRecord


class Mosaic:
    """The least energy among the targets expected to be in time, by regressions on size and the cost of moving data.

    MOSAIC slices a network over heterogeneous processors. Here networks are placed whole, so of its slicings those
    with one slice are left. As it does, this minds heterogeneity, communication and the latency constraint, and knows
    neither frequency scaling nor co-runners.
    """

    def __init__(self, records: Sequence[ProfileRecord]) -> None:
        self._model = PlacementModel(records)

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """Raises NothingToChooseError when no profiled target is on offer."""
        candidates = [action for action in self._model.actions if action in actions]
        if not candidates:
            raise NothingToChooseError("mosaic: no target on offer was profiled at its highest frequency")
        costs = {action: self._model.cost(state, action) for action in accurate(state.task, candidates)}
        in_time = [action for action, cost in costs.items() if cost.latency_s <= state.task.qos_s]
        if in_time:
            return min(in_time, key=lambda action: costs[action].energy_j)
        return min(costs, key=lambda action: costs[action].latency_s)

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learns nothing on line."""
