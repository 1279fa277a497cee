"""Plays a trace onto a link: each condition in its time, in place, and on record with when it took effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.agent.contract import Clock
from testbed.network.conditions import Applied, Link
from testbed.network.traces import LinkTrace, Step


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a trace that was put in force."""

    due_ns: int
    """when the trace has it, on the clock of `applied`"""
    applied: Applied
    skipped: int
    """steps that were over before this one could be applied, and were left out"""

    @property
    def late_s(self) -> float:
        """From when it was due until it took effect."""
        return (self.applied.time_ns - self.due_ns) * 1e-9

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "due_ns": self.due_ns,
            "time_ns": self.applied.time_ns,
            "late_s": self.late_s,
            "skipped": self.skipped,
            "asked": self.applied.asked.as_json(),
            "observed": self.applied.observed.as_json(),
        }


def play(
    trace: LinkTrace, link: Link, target: str, clock: Clock, offset_s: float = 0.0, length_s: float | None = None
) -> Iterator[Change]:
    """Play `length_s` of a trace from `offset_s` on, again and again where it is shorter; by default to its end.

    Each change is yielded once it is in force, the first at once; the iterator returns when the time is over. The
    caller opens the link, and restores it. `clock` is the controller's.
    """
    if length_s is None:
        length_s = trace.length_s - offset_s % trace.length_s
    start_ns = clock.now_ns()
    end_ns = start_ns + round(length_s * 1e9)
    steps = trace.schedule(offset_s)
    step, following = next(steps), next(steps)
    while _due_ns(start_ns, step) < end_ns and clock.now_ns() < end_ns:
        clock.sleep_until(_due_ns(start_ns, step))
        skipped = 0
        # A link slower than the trace must not fall behind it: what is over already would only delay what is not.
        while _due_ns(start_ns, following) <= min(clock.now_ns(), end_ns - 1):
            step, following, skipped = following, next(steps), skipped + 1
        yield Change(_due_ns(start_ns, step), link.apply(step.condition, target), skipped)
        step, following = following, next(steps)
    clock.sleep_until(end_ns)


def _due_ns(start_ns: int, step: Step) -> int:
    return start_ns + round(step.at_s * 1e9)
