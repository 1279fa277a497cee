"""What is believed of a board's processors before anything was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

from scheduler.contract import REMOTE_TARGETS, Action

WEIGHTS = (
    "level",
    "macs",
    "layers",
    "bytes",
    "fp16",
    "int8",
    "slowness",
    "slowness2",
    "co_cpu",
    "co_memory",
    "weak",
    "very_weak",
)
"""Shared weights of a processor. Slowness is ln(highest frequency / frequency); a signal is weak below -55 dBm and very
weak below -70 dBm, in tens of dB."""
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a processor's weights before its first outcome."""

    latency: tuple[float, ...]
    """mean of each weight for ln(latency / 1 s)"""
    power: tuple[float, ...]
    """mean of each weight for ln(power / 1 W)"""
    deviation: tuple[float, ...]
    """standard deviation of each weight for latency; for power it is `POWER_SHARE` of that"""
    offset_deviation: float = 0.4
    """of a task's own offset at a precision"""


POWER_SHARE = 0.5

BOARD_PRIOR = Prior(
    #        level      macs layers bytes fp16 int8 slow slow2 cpu mem  weak very
    latency=(log(0.02), 0.8, 0.2, 0.0, -0.4, -0.6, 0.85, 0.0, 0.5, 0.4, 0.0, 0.0),
    power=(log(6.0), 0.05, 0.0, 0.0, 0.0, 0.0, -0.8, 0.3, 0.2, 0.1, 0.0, 0.0),
    deviation=(1.5, 0.3, 0.3, 0.0, 0.4, 0.5, 0.2, 0.2, 0.5, 0.4, 0.0, 0.0),
)
"""Round figures, wide on purpose: latency nearly proportional to work, and nearly inversely to frequency; power that
falls with frequency, less and less as it nears what the rest of the board draws."""

REMOTE_PRIOR = Prior(
    latency=(log(0.04), 0.2, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.8),
    power=(log(5.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.1, 0.0, 0.0),
    deviation=(1.5, 0.3, 0.2, 0.3, 0.2, 0.2, 0.0, 0.0, 0.3, 0.2, 0.4, 0.5),
)
"""Time mostly on the air, which a weak signal stretches: between -58 and -78 dBm the median 802.11n goodput falls from
11 to 1 Mbit/s (adamiaonr/wifi-vehicles, feup-exp-201901, CC BY 4.0), 2.4 in natural logarithm."""


def flat(prior: Prior) -> Prior:
    """The same model with nothing known of its weights: means 0, wide deviations, only the levels kept."""
    nothing = (0.0,) * (len(WEIGHTS) - 1)
    wide = tuple(2.0 if deviation else 0.0 for deviation in prior.deviation)
    return replace(
        prior,
        latency=(prior.latency[0], *nothing),
        power=(prior.power[0], *nothing),
        deviation=wide,
        offset_deviation=2.0,
    )


def processors_of(actions: Sequence[Action]) -> tuple[str, ...]:
    """The targets of the actions, in their order."""
    return tuple(dict.fromkeys(action.target for action in actions))


def default_priors(actions: Sequence[Action]) -> list[Prior]:
    """The prior of each of `processors_of(actions)`."""
    return [REMOTE_PRIOR if name in REMOTE_TARGETS else BOARD_PRIOR for name in processors_of(actions)]
