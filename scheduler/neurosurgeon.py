"""Local or cloud, after Neurosurgeon (Kang et al., ASPLOS 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.choices import NothingToChooseError, accurate
from scheduler.contract import Action, Outcome, State
from scheduler.placement import PlacementModel
from scheduler.profile import ProfileRecord


class Neurosurgeon:
    """The cheaper of one local processor and the cloud, by regressions on the network's configuration and the signal.

    Neurosurgeon cuts a network between two layers. Here networks are placed whole, so of its cuts only the first and
    the last are left. As it does, this knows one local processor (CPU or GPU, whichever was faster in the
    profile), no frequency scaling, no co-runner, and minimises latency or energy without a constraint on the other.
    """

    def __init__(self, records: Sequence[ProfileRecord], *, minimise: str = "energy") -> None:
        """`minimise` is "energy" or "latency"."""
        if minimise not in ("energy", "latency"):
            raise ValueError(f"neurosurgeon: minimise must be 'energy' or 'latency', not '{minimise}'")
        self._model = PlacementModel(records)
        self._minimise = minimise
        self._local = _fastest_local(records)

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """Raises NothingToChooseError when neither was profiled and is on offer."""
        candidates = [a for a in self._model.actions if a in actions and a.target in (self._local, "cloud")]
        if not candidates:
            raise NothingToChooseError(
                "neurosurgeon: neither its local processor nor the cloud is profiled and on offer"
            )

        def cost(action: Action) -> float:
            cost = self._model.cost(state, action)
            return cost.energy_j if self._minimise == "energy" else cost.latency_s

        return min(accurate(state.task, candidates), key=cost)

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learns nothing on line."""


def _fastest_local(records: Sequence[ProfileRecord]) -> str | None:
    latencies: dict[str, list[float]] = {}
    for record in records:
        if record.action.processor in ("cpu", "gpu"):
            latencies.setdefault(record.action.target, []).append(record.latency_s)
    return min(latencies, key=lambda target: sum(latencies[target]) / len(latencies[target]), default=None)
