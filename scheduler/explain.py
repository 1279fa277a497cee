"""Why an inference ran where it ran: what the policy believed of each action, and which were ruled out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from scheduler.contract import Action, State


@dataclass(frozen=True, slots=True)
class Belief:
    """What a policy holds of one action in one state; None for what it holds no view of."""

    value: float | None = None
    """expected reward; more is better"""
    latency_s: float | None = None
    """median"""
    energy_j: float | None = None
    """median, of one inference"""
    p_qos: float | None = None
    """P(latency <= QoS)"""
    objection: str | None = None
    """why the policy would not take it"""


Beliefs = Callable[[], Mapping[Action, Belief]]
"""beliefs as they were when this was made; spelt out when called"""


@runtime_checkable
class Explains(Protocol):
    """A policy that can tell what it believes."""

    def beliefs(self, state: State) -> Beliefs:
        """What it believes now. Costs a few microseconds; what is learnt later changes nothing of it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One action at a decision."""

    action: Action
    belief: Belief
    ruled_out: str | None
    """what spoke against it; None where it could be taken"""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision. `str()` of it is a table."""

    task: str
    state: State | None
    """None where what was observed could not be used"""
    action: Action
    """what was decided on"""
    grounds: str
    explored: bool
    """whether the policy took other than what looked best to it"""
    outcome: str
    """what came of it, in words"""
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        lines = [f"{self.task} -> {self.action}: {self.grounds}{' (exploring)' if self.explored else ''}"]
        if self.state is not None:
            lines.append(
                f"state: co-runners {self.state.co_cpu:.0%} of the CPU, {self.state.co_memory:.0%} of the memory; "
                f"Wi-Fi {self.state.rssi_dbm:.0f} dBm, peer {self.state.peer_rssi_dbm:.0f} dBm"
            )
        lines.append(f"outcome: {self.outcome}")
        lines.append(f"  {'action':<20}{'value':>9}{'latency':>11}{'energy':>11}{'P(QoS)':>8}")
        lines.extend(self._row(candidate) for candidate in self.candidates)
        return "\n".join(lines)

    def _row(self, candidate: Candidate) -> str:
        belief = candidate.belief
        mark = ">" if candidate.action == self.action else " "
        cells = (
            _cell(belief.value, 1.0, "", 9),
            _cell(belief.latency_s, 1e3, " ms", 11),
            _cell(belief.energy_j, 1e3, " mJ", 11),
            _cell(belief.p_qos, 1.0, "", 8),
        )
        why = "" if candidate.ruled_out is None else f"  {'although' if mark == '>' else 'not'}: {candidate.ruled_out}"
        return f"{mark} {candidate.action!s:<20}{''.join(cells)}{why}"


def _cell(value: float | None, scale: float, unit: str, width: int) -> str:
    return f"{'-' if value is None else f'{value * scale:.3g}{unit}':>{width}}"
