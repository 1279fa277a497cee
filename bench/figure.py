"""One figure of the testbed, beside what it is compared with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """What a benchmark measured."""

    name: str
    value: float | None
    """None: could not be measured here; `provenance` says why"""
    unit: str
    reference: str | None
    """what stands beside it: a peer in the same run, or a published figure with its mark"""
    goal: str | None
    holds: bool | None
    """whether the goal is met; None where there is none, or nothing was measured"""
    provenance: str
    """how and where it was measured"""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
