"""What the monitor commands show: the chart, figures with units, who holds a port; and that a report cites."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from power import Channel, Kind, MonitorSpec, Samples
from testbed.cli.chart import chart, si, width_of, with_uncertainty
from testbed.cli.live import LiveTrace
from testbed.discovery import users_of

POWERS = st.floats(-100, 1000, allow_nan=False)


@given(st.lists(st.one_of(st.none(), st.tuples(POWERS, POWERS)), min_size=2, max_size=80), st.integers(3, 12))
def test_a_chart_has_the_size_asked_for_and_shows_every_value(
    spans: list[tuple[float, float] | None], rows: int
) -> None:
    ordered = [None if span is None else (min(span), max(span)) for span in spans]
    lines = chart(ordered, rows, "W")
    assert len(lines) == rows
    assert {len(line) for line in lines} == {11 + (len(spans) + 1) // 2}
    dots = sum((ord(character) - 0x2800).bit_count() for line in lines for character in line[11:])
    assert dots >= sum(span is not None for span in spans)


def test_a_step_stands_in_the_lower_then_the_upper_half() -> None:
    lines = chart([(1.0, 1.0)] * 10 + [(9.0, 9.0)] * 10, 4, "W")
    blank = chr(0x2800)
    assert set(lines[0][11:16]) == {blank}
    assert set(lines[3][16:21]) == {blank}
    assert lines[0].lstrip().startswith("10.0 W")
    assert lines[3].lstrip().startswith("0 W")


def test_a_chart_takes_the_width_of_its_screen() -> None:
    assert len(chart([(1.0, 2.0)] * width_of(80), 3, "W")[0]) == 80


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.00523, "5.23 mW"),
        (999.6, "1.00 kW"),
        (0.9996, "1.00 W"),
        (-0.0034, "-3.40 mW"),
        (12.345, "12.3 W"),
        (0.0, "0 W"),
    ],
)
def test_three_digits_with_the_units_prefix(value: float, shown: str) -> None:
    assert si(value, "W") == shown


def test_an_uncertainty_has_two_digits_in_the_unit_of_its_value() -> None:
    assert with_uncertainty(7.3701, 0.0482, "J") == "7.370 ± 0.048 J"
    assert with_uncertainty(0.123456, 0.0021, "J") == "123.5 ± 2.1 mJ"
    assert with_uncertainty(5.0, 0.0, "J") == "5.00 J"


def rails(start: int, count: int) -> Samples:
    index = np.repeat(np.arange(start, start + count), 2)
    channel = np.tile(np.array([0, 1], np.uint8), count)
    return Samples(index, index * 1_000_000, channel, np.where(channel, 2.0, 1.0))


SPEC = MonitorSpec(
    name="rails",
    rate_hz=1000.0,
    channels=(Channel("cpu", 1e-3, 0.01, 1e-3), Channel("gpu", 1e-3, 0.01, 1e-3)),
    kind=Kind.AVERAGING,
    aperture_s=1e-3,
    shortest_window_s=0.025,
    total=(0, 1),
)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_live_screen_shows_each_channel_and_the_total_within_the_screen(columns: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=columns, height=24, color_system=None)
    with LiveTrace(console, SPEC, 0, 5.0, "two rails\nvirtual bench") as display:
        display.take(rails(0, 1000))
        display.take(rails(1010, 1000))
    shown = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]|\r", "", screen.getvalue())
    assert "two rails\nvirtual bench" in shown
    for words in ("cpu", "gpu", "total", "3.00 W", "6.02", "10 of 2010 lost", "last 5 s"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= columns


def test_who_holds_a_device_is_named() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; held = open('/dev/full'); print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        assert any(f"(process {holder.pid})" in user for user in users_of("/dev/full"))
        holder.stdin.close()
    assert not any(f"(process {holder.pid})" in user for user in users_of("/dev/full"))
    assert users_of("/dev/ttyNOSUCH") == []
