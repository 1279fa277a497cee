"""Which frequency steps a bench keeps of those its board offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from testbed.config.plugins import Steps
from testbed.errors import BenchError

TOLERANCE = 0.005
"""how far a frequency as a person writes it may lie from a step"""


def kept_steps(
    offered_hz: Mapping[str, Sequence[float]], keep: Mapping[str, Steps], board: str
) -> dict[str, list[float]]:
    """Target -> its steps that are kept, ascending; of a target that `keep` does not name, all. Raises BenchError."""
    for target in keep:
        if target not in offered_hz:
            near = get_close_matches(target, offered_hz, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"those that can: {', '.join(offered_hz) or 'none'}"
            raise BenchError(f"board.frequencies: the frequency of '{target}' cannot be set on {board}; {hint}")
    return {
        target: _kept(target, sorted(steps), keep.get(target, "all"), board) for target, steps in offered_hz.items()
    }


def evenly_spaced(ordered: Sequence[float], count: int) -> list[float]:
    """So many of them, the first and the last included; `count` is 2 or more, and not above their number."""
    return [ordered[round(i * (len(ordered) - 1) / (count - 1))] for i in range(count)]


def _kept(target: str, ordered: list[float], keep: Steps, board: str) -> list[float]:
    if keep == "all":
        return ordered
    if isinstance(keep, int):
        if keep > len(ordered):
            raise BenchError(f"board.frequencies: {target} of {board} has {len(ordered)} steps, {keep} cannot be kept")
        return evenly_spaced(ordered, keep)
    return sorted({_step(target, ordered, wanted_hz, board) for wanted_hz in keep})


def _step(target: str, ordered: Sequence[float], wanted_hz: float, board: str) -> float:
    nearest = min(ordered, key=lambda step: abs(step - wanted_hz))
    if abs(nearest - wanted_hz) > TOLERANCE * wanted_hz:
        shown = ", ".join(f"{step / 1e6:g}" for step in ordered)
        raise BenchError(
            f"board.frequencies: {target} of {board} has no step at {wanted_hz / 1e6:g} MHz; the nearest is "
            f"{nearest / 1e6:g} MHz, steps in MHz: {shown}"
        )
    return nearest
