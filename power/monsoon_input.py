"""What of a Monsoon is read: its channels, and what stands behind each."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from power.monitor import Channel

CHANNELS = ("main", "usb", "aux")
REGULATION_LIMIT = 0.01
"""of a declared supply voltage, where nothing better is known"""


@dataclass(frozen=True, slots=True)
class MonsoonInput:
    """One channel that is read: "main", "usb" or "aux".

    `supply_v` is what is behind it: main is set to it. Where the monitor does not measure a channel's voltage, it is
    what an external supply is regulated to, with a relative standard uncertainty.
    """

    name: str
    supply_v: float
    supply_standard_uncertainty: float = REGULATION_LIMIT / math.sqrt(3.0)
    counts: bool = True
    """whether its power is part of what the board draws"""


def require_possible(inputs: Sequence[MonsoonInput], main_v: tuple[float, float], device: str) -> None:
    """`ValueError` for channels that a Monsoon does not have, and for a voltage that its main output does not give."""
    names = [one.name for one in inputs]
    if unknown := [name for name in names if name not in CHANNELS]:
        raise ValueError(f"channel: no {unknown[0]!r}; choose one of {', '.join(CHANNELS)}")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"channels: name one or more of {', '.join(CHANNELS)}, each once")
    if not any(one.counts for one in inputs):
        raise ValueError("channels: at least one has to count")
    low_v, high_v = main_v
    for one in inputs:
        if one.name == "main" and not low_v <= one.supply_v <= high_v:
            raise ValueError(f"{device}'s main output gives {low_v:g} to {high_v:g} V, not {one.supply_v:g} V")


def channels(
    inputs: Sequence[MonsoonInput],
    measured: Collection[str],
    step_a: float,
    gain_standard_uncertainty: float,
    offset_standard_uncertainty_a: float,
) -> tuple[Channel, ...]:
    """As a monitor's spec has them; the voltage of the channels `measured` adds nothing to their gain."""
    return tuple(
        Channel(
            one.name,
            power_lsb_w=step_a * one.supply_v,
            gain_standard_uncertainty=math.hypot(
                gain_standard_uncertainty, 0.0 if one.name in measured else one.supply_standard_uncertainty
            ),
            offset_standard_uncertainty_w=offset_standard_uncertainty_a * one.supply_v,
        )
        for one in inputs
    )


def total(inputs: Sequence[MonsoonInput]) -> tuple[int, ...]:
    """Which of the channels add up to what the board draws."""
    return tuple(number for number, one in enumerate(inputs) if one.counts)
