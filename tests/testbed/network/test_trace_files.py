"""Traces: what a file says is what is played, and what is wrong with a file is told by its line."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import BenchError
from testbed.network.conditions import condition_at
from testbed.network.trace_files import BIN_S, PACKET_BYTES, read_trace
from testbed.network.traces import LinkTrace

rates = st.floats(0.0, 1e8)
columns = st.lists(st.tuples(st.floats(1.0, 4.9), rates), min_size=2, max_size=30)  # pauses too alike for a gap


def trace(*lines: str) -> LinkTrace:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "link.trace"
        path.write_text("\n".join(lines) + "\n")
        return read_trace(path)


def csv(rows: Sequence[tuple[float, float]]) -> LinkTrace:
    """Of pauses and the rates after them."""
    time_s, lines = 0.0, ["time,rate"]
    for pause_s, rate_bps in rows:
        time_s += pause_s
        lines.append(f"{time_s!r},{rate_bps!r}")
    return trace(*lines)


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=300))
def test_a_mahimahi_trace_delivers_as_many_packets_as_it_has_lines(times_ms: list[int]) -> None:
    played = trace(*map(str, sorted(times_ms)))
    ends_s = [*(step.at_s for step in played.steps[1:]), played.length_s]
    delivered = sum(
        step.condition.rate_down_bps * (end_s - step.at_s) for step, end_s in zip(played.steps, ends_s, strict=True)
    )
    assert delivered == pytest.approx(8 * PACKET_BYTES * len(times_ms), rel=1e-6)
    assert played.length_s == pytest.approx(max(times_ms) * 1e-3)


def test_a_steady_mahimahi_trace_is_one_step() -> None:
    steady = trace(*(str(millisecond) for millisecond in range(1, 1001)))
    assert [step.condition.rate_up_bps for step in steady.steps] == [pytest.approx(12e6)]


def test_a_stretch_without_opportunities_is_an_outage() -> None:
    halting = trace("50", "1050")
    assert halting.at(0.05).rate_up_bps == pytest.approx(8 * PACKET_BYTES / BIN_S)
    assert halting.at(0.5).rate_up_bps == 0.0


@given(columns)
def test_rows_are_held_until_the_next_one(rows: list[tuple[float, float]]) -> None:
    played = csv(rows)
    for step, (_, rate_bps) in zip(played.steps, rows, strict=True):
        assert played.at(step.at_s).rate_up_bps == rate_bps
        assert played.at(step.at_s).delay_s == 0.0
    assert played.steps[0].at_s == 0.0
    assert played.length_s > played.steps[-1].at_s


@given(columns, st.floats(0.0, 1e4), st.integers(1, 60))
def test_a_schedule_goes_on_where_it_began_and_round_and_round(
    rows: list[tuple[float, float]], offset_s: float, steps: int
) -> None:
    played = csv(rows)
    schedule = list(islice(played.schedule(offset_s), steps))
    assert schedule[0].at_s == 0.0
    assert schedule[0].condition == played.at(offset_s)
    assert all(earlier.at_s < later.at_s for earlier, later in pairwise(schedule))
    order = [step.condition for step in played.steps]
    first = order.index(schedule[0].condition)
    assert [step.condition.rate_up_bps for step in schedule] in (
        [order[(begin + i) % len(order)].rate_up_bps for i in range(steps)] for begin in range(first, len(order))
    )


@given(columns, st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_scaling_multiplies_rates_and_shortens_times(
    rows: list[tuple[float, float]], rate: float, speed: float
) -> None:
    played = csv(rows)
    scaled = played.scaled(rate, speed)
    assert scaled.length_s == pytest.approx(played.length_s / speed)
    for before, after in zip(played.steps, scaled.steps, strict=True):
        assert after.at_s == pytest.approx(before.at_s / speed)
        assert after.condition.rate_down_bps == pytest.approx(before.condition.rate_down_bps * rate)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_factor_is_refused(factor: float) -> None:
    with pytest.raises(BenchError, match="give a number above 0"):
        csv([(1.0, 1e6), (1.0, 2e6)]).scaled(rate=factor)


def test_a_log_of_signal_strength_is_what_the_table_makes_of_it() -> None:
    played = trace("# wlan0 on the move", "time,rssi", "0,-60", "1,-82 dBm")
    for time_s, rssi_dbm in ((0.5, -60.0), (1.5, -82.0)):
        expected = condition_at(rssi_dbm)
        found = played.at(time_s)
        assert (found.rssi_dbm, found.rate_up_bps, found.delay_s, found.loss) == (
            rssi_dbm,
            expected.rate_up_bps,
            expected.delay_s,
            expected.loss,
        )
        assert found.source == f"link.trace: {expected.source}"
        assert (found.measured, found.proposed) == (expected.measured, expected.proposed)


def test_what_a_row_gives_goes_before_the_table() -> None:
    played = trace("time_s,rate_bps,rssi_dbm,delay_s,loss", "0,5 Mbit/s,-70,20 ms,0.01", "1,1e6,-70,0.02,0")
    found = played.at(0.0)
    assert (found.rate_up_bps, found.rate_down_bps, found.delay_s, found.loss) == (5e6, 5e6, 0.02, 0.01)
    assert found.jitter_s == condition_at(-70.0).jitter_s
    assert (found.measured, found.proposed) == ((), ("jitter_s",))


def test_both_directions_may_have_rates_of_their_own() -> None:
    found = trace("time,rate_up,rate_down", "0,1e6,8e6", "1,2e6,9e6").at(1.0)
    assert (found.rate_up_bps, found.rate_down_bps) == (2e6, 9e6)


@pytest.mark.parametrize(("rate", "rssi_dbm"), [("1.0e9", -58.0), ("11.44 Mbit/s", -68.0), ("0", -86.0)])
def test_a_rate_alone_stands_for_the_weakest_signal_that_reaches_it(rate: str, rssi_dbm: float) -> None:
    assert trace("time,rate", f"0,{rate}", "1,1").at(0.0).rssi_dbm == rssi_dbm


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["1", "5", "3"], 3, "3 ms comes after 5 ms"),
        (["1", "2.5"], 2, "'2.5' is not a whole number"),
        (["1", "", "2"], 2, "is empty: a trace must have no gaps"),
        (["0"], 1, "it has no length"),
        (["hello"], 1, "neither a mahimahi trace"),
        (["0.5,3e6", "1.0,4e6"], 1, "neither a mahimahi trace"),
        (["time,rate", "0,1e6", "1,"], 3, "rate is missing: a trace must have no gaps"),
        (["time,rate", "0,1e6", "", "1,1e6"], 3, "is empty: a trace must have no gaps"),
        (["time,rate", "0,1e6", "1,nan"], 3, "'nan' is not a number"),
        (["time,rate", "0,inf", "1,1e6"], 2, "'inf' is not a number"),
        (["time,rate", "0,1e6", "0,2e6"], 3, "times must increase"),
        (["time,rate", "0,1e6", "5,2e6", "4,2e6"], 4, "times must increase"),
        (["time,rate", "0,1e6", "1,-2"], 3, "-2 is not within 0 to 1e+11 bit/s"),
        (["time,rate", "0,1e6", "1,fast"], 3, "'fast' is not a data rate"),
        (["time,rate", "0,1e6", "1,5 MHz"], 3, "is a frequency; a data rate is expected"),
        (["time,rate,loss", "0,1e6,0", "1,1e6,1.5"], 3, "1.5 is not within 0 to 1"),
        (["time,rssi", "0,-60", "1,60"], 3, "60 is not within -120 to -10 dBm"),
        (["time,rate", "0,1e6", "1,2e6,3e6"], 3, "3 values for the columns time, rate"),
        (["time,speed", "0,1"], 1, "there is no column 'speed'"),
        (["time,delay", "0,1"], 1, "neither a column 'rate' nor 'rssi'"),
        (["time,rate,rate", "0,1,1"], 1, "'rate' stands there twice"),
        (["time,rate_up", "0,1"], 1, "the rate of one direction"),
        (["time,rate,rate_up,rate_down", "0,1,1,1"], 1, "that of both directions"),
        (["time,rate", *(f"{second},1e6" for second in (0, 1, 2, 3, 4, 15, 16))], 7, "a gap of 11 s"),
    ],
)
def test_a_mistake_is_told_by_its_line(lines: list[str], line: int, message: str) -> None:
    with pytest.raises(BenchError, match=rf"link\.trace:{line}: ") as told:
        trace(*lines)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("lines", "message"), [([], "is empty"), (["time,rate", "0,1"], "has 1 rows")])
def test_a_file_with_too_little_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        trace(*lines)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read: No such file"):
        read_trace(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match="not a text file in UTF-8"):
        read_trace(tmp_path / "binary")


def test_steps_at_odd_times_are_events_and_no_gaps() -> None:
    assert len(trace("time,rate", "0,1", "1,2", "4,3", "30,4", "31,5").steps) == 5


@settings(max_examples=40)
@given(st.lists(st.text(max_size=20), max_size=8))
def test_any_text_is_a_trace_or_told_to_be_none(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        path.write_text("\n".join(lines), encoding="utf-8", errors="ignore")
        with suppress(BenchError):  # any other failure is one
            read_trace(path)
