"""Marks from a wire or a burst where these are good, weak, or not there."""

from __future__ import annotations

import numpy as np
import pytest

from power import Channel, ClockFit, Kind, MonitorSpec, Samples
from testbed.line_marks import MarkerLine
from testbed.marks import HostClocks
from testbed.pulse_marks import CODE, SyncPulse, chip_for

MS = 1_000_000
PERIOD_NS = 200_000
SPEC = MonitorSpec(
    "fed by hand", 5000.0, (Channel("supply", 1e-3, 0.0, 0.0),), Kind.AVERAGING, 2e-4, 5e-3, mark_lines=2
)
HOST_U_S, METER_U_S = 30e-6, 300e-6
LATE_NS = 400_000
"""how far the trace lies behind the controller's clock"""
BEARABLE_S = 4e-3


class Board:
    """Its clock is the controller's."""

    fit = ClockFit(0, 0, 0.0, 0.0, HOST_U_S, 1e-6)


class Trace:
    """Ten seconds, late by `LATE_NS`. Implements `testbed.marks.Trace`."""

    clock = ClockFit(0, 0, 0.0, 0.0, METER_U_S, 1e-6)

    def __init__(self) -> None:
        self.opened = 1
        count = 50_000
        index = np.arange(count, dtype=np.int64)
        self.time_ns = (index + 1) * PERIOD_NS
        self.power_w = np.random.default_rng(1).normal(10.0, 0.02, count)
        self.mark = np.zeros(count, np.uint8)
        self.index = index

    def high(self, line: int, from_ns: int, to_ns: int) -> None:
        on = (self.time_ns >= from_ns + LATE_NS) & (self.time_ns < to_ns + LATE_NS)
        self.mark[on] |= 1 << line

    def burst(self, start_ns: int, watts: float = 2.0) -> None:
        since_s = (self.time_ns - start_ns - LATE_NS) * 1e-9 - 1e-4
        chip = np.floor(since_s / chip_for(SPEC)).astype(int)
        inside = (chip >= 0) & (chip < len(CODE))
        self.power_w += watts * np.where(inside, np.array(CODE)[chip.clip(0, len(CODE) - 1)], 0)

    def trace(self, start_ns: int, end_ns: int) -> Samples:
        channel = np.zeros(len(self.index), np.uint8)
        return Samples(self.index, self.time_ns, channel, self.power_w, mark=self.mark).between(start_ns, end_ns)


def trial(start_ns: int, end_ns: int) -> dict[str, object]:
    return {"start_ns": start_ns, "end_ns": end_ns, "marked_ns": [(start_ns, start_ns), (end_ns, end_ns)]}


@pytest.fixture
def trace() -> Trace:
    return Trace()


@pytest.fixture
def host(trace: Trace) -> HostClocks:
    return HostClocks(Board(), trace)


@pytest.fixture
def wire(trace: Trace, host: HostClocks) -> MarkerLine:
    line = MarkerLine(host, trace, SPEC, BEARABLE_S)
    line.begin()
    return line


def test_the_hosts_clocks_count_the_meters_place_too(host: HostClocks) -> None:
    marks = host.place(trial(100 * MS, 200 * MS))
    assert (marks.start_ns, marks.end_ns) == (100 * MS, 200 * MS)
    assert marks.standard_uncertainty_s == pytest.approx(np.hypot(HOST_U_S, METER_U_S), rel=1e-3)


@pytest.mark.parametrize("line", [0, 1])
def test_a_wire_shows_how_late_the_trace_is_whichever_input_it_goes_to(
    wire: MarkerLine, trace: Trace, line: int
) -> None:
    for at in range(100, 900, 100):
        trace.high(line, at * MS + 30_000, (at + 40) * MS + 30_000)
        marks = wire.place(trial(at * MS + 30_000, (at + 40) * MS + 30_000))
    assert marks.start_ns == pytest.approx(800 * MS + 30_000 + LATE_NS, abs=PERIOD_NS)
    assert marks.standard_uncertainty_s < 1e-4 < METER_U_S
    assert wire.note == ""


def test_without_edges_the_hosts_clocks_stand_in_and_the_note_says_so(wire: MarkerLine, host: HostClocks) -> None:
    assert wire.place(trial(100 * MS, 140 * MS)) == host.place(trial(100 * MS, 140 * MS))
    assert wire.note == "no edges on the marker line in 1 of 1 trials: look at its wiring"


def test_noise_on_an_input_nobody_wired_is_no_mark(wire: MarkerLine, trace: Trace, host: HostClocks) -> None:
    trace.mark |= np.random.default_rng(2).integers(0, 2, len(trace.mark)).astype(np.uint8)
    assert wire.place(trial(50 * MS, 90 * MS)) == host.place(trial(50 * MS, 90 * MS))
    trace.high(1, 100 * MS, 140 * MS)
    marks = wire.place(trial(100 * MS, 140 * MS))
    assert marks.start_ns == pytest.approx(100 * MS + LATE_NS, abs=PERIOD_NS)


def test_a_trial_without_edges_goes_by_those_before_and_is_less_sure(wire: MarkerLine, trace: Trace) -> None:
    trace.high(0, 100 * MS, 140 * MS)
    sure = wire.place(trial(100 * MS, 140 * MS))
    alone = wire.place(trial(1100 * MS, 1140 * MS))
    assert alone.start_ns == pytest.approx(1100 * MS + LATE_NS, abs=PERIOD_NS)
    assert alone.standard_uncertainty_s > 1e-4 > sure.standard_uncertainty_s


def test_a_monitor_opened_again_begins_anew(wire: MarkerLine, trace: Trace, host: HostClocks) -> None:
    trace.high(0, 100 * MS, 140 * MS)
    wire.place(trial(100 * MS, 140 * MS))
    trace.opened += 1
    wire.begin()
    assert wire.fit() == host.fit()


def pulse(trace: Trace, host: HostClocks, starts_ns: list[int], off_ns: int = 0) -> SyncPulse:
    """Bursts at these moments; the last one the board says it began `off_ns` too early."""
    told = [*starts_ns[:-1], starts_ns[-1] - off_ns]
    for start_ns in starts_ns:
        trace.burst(start_ns)
    return SyncPulse(host, trace, SPEC, lambda code, chip_s: told.pop(0), chip_for(SPEC), BEARABLE_S)


def test_a_burst_shows_how_late_the_trace_is(trace: Trace, host: HostClocks) -> None:
    marks = pulse(trace, host, [500 * MS])
    marks.begin()
    placed = marks.place(trial(1000 * MS, 1040 * MS))
    assert placed.start_ns == pytest.approx(1000 * MS + LATE_NS, abs=PERIOD_NS // 2)
    assert placed.standard_uncertainty_s < METER_U_S
    later = marks.place(trial(9000 * MS, 9040 * MS))
    assert later.standard_uncertainty_s > 2 * placed.standard_uncertainty_s


def test_a_closing_burst_elsewhere_than_expected_is_said_and_counts(trace: Trace, host: HostClocks) -> None:
    marks = pulse(trace, host, [500 * MS, 2000 * MS], off_ns=10 * MS)
    marks.begin()
    before = marks.place(trial(1000 * MS, 1040 * MS))
    marks.end()
    assert marks.note == "the sync pulse lay 10 ms from where it was expected"
    assert marks.place(trial(2500 * MS, 2540 * MS)).standard_uncertainty_s > 0.009 > before.standard_uncertainty_s


def test_a_burst_that_does_not_show_leaves_the_hosts_clocks(trace: Trace, host: HostClocks) -> None:
    marks = SyncPulse(host, trace, SPEC, lambda code, chip_s: 500 * MS, chip_for(SPEC), BEARABLE_S)
    marks.begin()
    assert "does not show in the trace" in marks.note
    assert marks.place(trial(1000 * MS, 1040 * MS)) == host.place(trial(1000 * MS, 1040 * MS))
