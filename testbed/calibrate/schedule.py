"""Which condition comes next: a function of plan, seed and what has been measured, so that it can be resumed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from testbed.calibrate.design import Condition, Kind, Plan
from testbed.calibrate.measurement import Measurement, half_width_w

NOMINAL_S: Mapping[Kind, float] = {"idle": 0.6, "cpu": 0.9, "memory": 0.9, "network": 0.6, "radio": 0.9, "thermal": 0.0}
"""how long one of a kind takes before any was measured: three windows of most meters, and a network's own time"""
_LAST = ("thermal",)
"""kinds that leave the board warm, and come after everything else, as other power modes do"""


class Schedule:
    """Round after round: each holds every condition still wanted, shuffled, with the sentinel in between."""

    def __init__(self, conditions: Sequence[Condition], plan: Plan, seed: int) -> None:
        self._conditions = tuple(conditions)
        self._plan = plan
        self._seed = seed
        busiest = [c for c in conditions if c.kind == "cpu" and not c.held_out]
        self._sentinel = max(busiest, key=lambda c: (c.cores * c.utilisation, c.frequency_hz or 0.0), default=None)

    def next(self, done: Sequence[Measurement]) -> tuple[Condition, bool] | None:
        """What is due after these, and whether as sentinel; None when all is measured."""
        if self._sentinel is not None and self._sentinel_due(done):
            return self._sentinel, True
        following = next(self._wanted(done), None)
        return None if following is None else (following, False)

    def left_s(self, done: Sequence[Measurement]) -> float:
        """About how long the rest takes, by what was measured so far; more repetitions come where they are needed."""
        mean_s = {
            kind: statistics.fmean(found) if (found := [m.lasted_s for m in done if m.condition.kind == kind]) else s
            for kind, s in NOMINAL_S.items()
        }
        least = self._plan.repetitions[0]
        counts = _counts(done)
        left = [
            (condition, max(0, (1 if condition.kind == "thermal" else least) - counts.get(condition, 0)))
            for condition in self._conditions
        ]
        total_s = sum(count * (mean_s[c.kind] or self._plan.thermal_s) for c, count in left)
        return total_s * (1.0 + 1.0 / self._plan.sentinel_every)

    def total_left(self, done: Sequence[Measurement]) -> int:
        """How many more there will be at the least."""
        counts = _counts(done)
        least = self._plan.repetitions[0]
        return sum(
            max(0, (1 if condition.kind == "thermal" else least) - counts.get(condition, 0))
            for condition in self._conditions
        )

    def _sentinel_due(self, done: Sequence[Measurement]) -> bool:
        since = next((age for age, measurement in enumerate(reversed(done)) if measurement.sentinel), None)
        return since is None or since >= self._plan.sentinel_every

    def _wanted(self, done: Sequence[Measurement]) -> Iterator[Condition]:
        found: dict[Condition, list[Measurement]] = {}
        for measurement in done:
            if not measurement.sentinel:
                found.setdefault(measurement.condition, []).append(measurement)
        least, most = self._plan.repetitions
        first = [c for c in self._conditions if c.kind not in _LAST and c.power_mode is None]
        for number in range(most):
            order = np.random.default_rng([self._seed, number]).permutation(len(first))
            for condition in (first[i] for i in order.tolist()):
                have = found.get(condition, [])
                if len(have) <= number and (number < least or not self._precise(have)):
                    yield condition
        for condition in (c for c in self._conditions if c.kind in _LAST):
            if condition not in found:
                yield condition
        for condition in (c for c in self._conditions if c.power_mode is not None):
            if len(found.get(condition, [])) < least:
                yield condition

    def _precise(self, have: Sequence[Measurement]) -> bool:
        board_w = statistics.fmean(m.power_w for m in have)
        return half_width_w([m.excess_w for m in have]) <= self._plan.half_width * board_w


def _counts(done: Sequence[Measurement]) -> dict[Condition, int]:
    counts: dict[Condition, int] = {}
    for measurement in done:
        if not measurement.sentinel:
            counts[measurement.condition] = counts.get(measurement.condition, 0) + 1
    return counts
