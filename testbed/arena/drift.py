"""Worlds that change behind a policy's back, or before its eyes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from testbed.arena.config import Drift
from testbed.environments import moments, resolve_environment
from testbed.moment import Moment

STEPS = 10
"""of a slow drift: it moves in so many small jumps"""


def drifting(drift: Drift, trials: int, random: np.random.Generator) -> tuple[list[Moment], list[Moment]]:
    """What surrounds the board in each trial, and what telemetry is told of it."""
    before = moments(resolve_environment(drift.before), trials, random)
    after = moments(resolve_environment(drift.after), trials, random)
    passed = np.clip((np.arange(trials) - drift.at + 1) / max(drift.over, 1), 0.0, 1.0)
    passed = np.ceil(passed * STEPS) / STEPS
    real = [_between(early, late, part) for early, late, part in zip(before, after, passed.tolist(), strict=True)]
    if drift.throttled:
        real = [replace(moment, throttled=part == 1.0) for moment, part in zip(real, passed.tolist(), strict=True)]
    return real, list(before) if drift.hidden else real


def _between(early: Moment, late: Moment, part: float) -> Moment:
    def at(a: float, b: float) -> float:
        return a + (b - a) * part

    return Moment(
        co_cpu=at(early.co_cpu, late.co_cpu),
        co_memory=at(early.co_memory, late.co_memory),
        rssi_dbm=float(round(at(early.rssi_dbm, late.rssi_dbm))),
        peer_rssi_dbm=float(round(at(early.peer_rssi_dbm, late.peer_rssi_dbm))),
    )
