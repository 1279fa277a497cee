"""The player on a clock of the test's own, against a link that takes its time."""

from __future__ import annotations

import math
from types import TracebackType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.network.conditions import Applied, Condition, condition_at
from testbed.network.player import Change, play
from testbed.network.traces import LinkTrace, Step

START_NS = 5_000_000_000


class World:
    """A clock, and a link that takes `takes_s` for a change."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.time_ns = START_NS
        self.takes_ns = round(takes_s * 1e9)
        self.applied: list[Condition] = []

    def now_ns(self) -> int:
        return self.time_ns

    def sleep_until(self, time_ns: int) -> None:
        self.time_ns = max(self.time_ns, time_ns)

    def apply(self, condition: Condition, target: str) -> Applied:
        assert target == "cloud"
        self.time_ns += self.takes_ns
        self.applied.append(condition)
        return Applied(condition, condition, self.time_ns)

    def restore(self) -> None:
        raise AssertionError("the caller opened the link, and restores it")

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


def a_trace(steps: int = 4, step_s: float = 0.25) -> LinkTrace:
    conditions = [condition_at(-50.0 - number) for number in range(steps)]
    return LinkTrace("t", tuple(Step(i * step_s, each) for i, each in enumerate(conditions)), steps * step_s)


def due_s(changes: list[Change]) -> list[float]:
    return [(change.due_ns - START_NS) * 1e-9 for change in changes]


def test_each_step_is_applied_in_its_time_and_the_last_is_held() -> None:
    world, trace = World(takes_s=0.001), a_trace()
    changes = list(play(trace, world, "cloud", world))
    assert due_s(changes) == pytest.approx([0.0, 0.25, 0.5, 0.75])
    assert [change.late_s for change in changes] == pytest.approx([0.001] * 4)
    assert world.applied == [step.condition for step in trace.steps]
    assert world.time_ns == START_NS + round(trace.length_s * 1e9)


def test_from_an_offset_it_begins_with_what_is_in_force_there() -> None:
    world, trace = World(), a_trace()
    changes = list(play(trace, world, "cloud", world, offset_s=0.6))
    assert due_s(changes) == pytest.approx([0.0, 0.15])
    assert world.applied == [trace.steps[2].condition, trace.steps[3].condition]
    assert world.time_ns == START_NS + 400_000_000


def test_longer_than_it_is_a_trace_is_looped() -> None:
    world, trace = World(), a_trace()
    assert len(list(play(trace, world, "cloud", world, length_s=2.5))) == 10
    assert world.applied[4:8] == world.applied[:4]


def test_a_whole_number_of_rounds_ends_with_the_last_step() -> None:
    world, trace = World(), a_trace(2, 0.025)
    changes = list(play(trace, world, "cloud", world, length_s=4.0))
    assert len(changes) == 160
    assert changes[-1].due_ns - START_NS == 3_975_000_000


@given(st.floats(0.0, 3.0), st.integers(1, 20))
def test_a_slow_link_leaves_steps_out_and_never_falls_behind(takes_s: float, steps: int) -> None:
    world, trace = World(takes_s), a_trace(steps)
    changes = list(play(trace, world, "cloud", world))
    assert len(changes) + sum(change.skipped for change in changes) <= steps
    # Nothing is begun that is over already: each change is late by the link's own time and less than one step.
    assert all(takes_s - 1e-9 <= change.late_s < takes_s + 0.25 + 1e-9 for change in changes)


@given(st.floats(0.0, 10.0), st.floats(0.01, 10.0))
def test_whatever_the_offset_what_is_in_force_is_what_the_trace_has(offset_s: float, length_s: float) -> None:
    world, trace = World(), a_trace(5, 0.3)
    for change in play(trace, world, "cloud", world, offset_s=offset_s, length_s=length_s):
        just_after_s = offset_s + (change.due_ns - START_NS) * 1e-9 + 1e-6
        assert change.applied.asked == trace.at(just_after_s)
        assert change.due_ns - START_NS < length_s * 1e9 + 1
    assert world.time_ns >= START_NS + math.floor(length_s * 1e9)


def test_a_change_goes_on_record_in_plain_values() -> None:
    world = World(takes_s=0.002)
    record = next(play(a_trace(), world, "cloud", world)).as_json()
    assert record["late_s"] == pytest.approx(0.002)
    assert record["time_ns"] - record["due_ns"] == 2_000_000
    assert record["asked"]["rssi_dbm"] == -50.0
