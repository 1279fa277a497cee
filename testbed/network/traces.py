"""Traces of a link: steps from one condition to the next."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from testbed.errors import BenchError
from testbed.network.conditions import Condition


@dataclass(frozen=True, slots=True)
class Step:
    """A condition, from a moment of the trace on."""

    at_s: float
    condition: Condition


@dataclass(frozen=True, slots=True)
class LinkTrace:
    """Conditions by time since the trace's beginning: the first step is at 0, each is later than the one before."""

    name: str
    steps: tuple[Step, ...]
    length_s: float
    """after which it begins anew"""

    def at(self, time_s: float) -> Condition:
        """The condition in force at a time; past its end the trace has begun anew."""
        return self.steps[self._index(time_s % self.length_s)].condition

    def scaled(self, rate: float = 1.0, speed: float = 1.0) -> LinkTrace:
        """The same trace with its rates multiplied, or played faster. Raises BenchError for what is no factor."""
        for what, factor in (("rate", rate), ("speed", speed)):
            if not (math.isfinite(factor) and factor > 0):
                raise BenchError(f"a trace cannot be scaled to {factor:g} times its {what}: give a number above 0")
        steps = tuple(Step(step.at_s / speed, _faster(step.condition, rate)) for step in self.steps)
        return LinkTrace(self.name, steps, self.length_s / speed)

    def schedule(self, offset_s: float) -> Iterator[Step]:
        """The steps from `offset_s` into the trace on, without an end; their times count from there."""
        begin_s = offset_s % self.length_s
        index, rounds = self._index(begin_s), 0
        yield Step(0.0, self.steps[index].condition)
        while True:
            index += 1
            if index == len(self.steps):
                index, rounds = 0, rounds + 1
            # Not added up: a trace may be played a million times.
            yield Step(rounds * self.length_s - begin_s + self.steps[index].at_s, self.steps[index].condition)

    def _index(self, time_s: float) -> int:
        return bisect_right(self.steps, time_s, key=lambda step: step.at_s) - 1


def _faster(condition: Condition, factor: float) -> Condition:
    if factor == 1.0:
        return condition
    return replace(
        condition,
        rate_up_bps=condition.rate_up_bps * factor,
        rate_down_bps=condition.rate_down_bps * factor,
        source=f"{condition.source}; rate times {factor:g}",
    )
