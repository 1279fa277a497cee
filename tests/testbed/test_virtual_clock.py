from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.virtual.clock import VirtualClock


@given(
    offset_s=st.floats(-1e5, 1e5),
    drift_ppm=st.floats(-500, 500),
    later_s=st.floats(-1e4, 1e4),
)
def test_there_and_back(offset_s: float, drift_ppm: float, later_s: float) -> None:
    clock = VirtualClock(offset_s, drift_ppm)
    host_ns = time.monotonic_ns() + round(later_s * 1e9)
    assert abs(clock.to_host_ns(clock.from_host_ns(host_ns)) - host_ns) <= 1


@given(drift_ppm=st.floats(-500, 500))
def test_gains_its_drift(drift_ppm: float) -> None:
    clock = VirtualClock(offset_s=3.0, drift_ppm=drift_ppm)
    host_ns = time.monotonic_ns()
    elapsed_ns = clock.from_host_ns(host_ns + 1_000_000_000) - clock.from_host_ns(host_ns)
    assert elapsed_ns == pytest.approx(1e9 + drift_ppm * 1e3, abs=2)


def test_reads_the_host_clock_shifted() -> None:
    clock = VirtualClock(offset_s=7.25)
    before_ns, reading_ns, after_ns = time.monotonic_ns(), clock.now_ns(), time.monotonic_ns()
    assert before_ns <= reading_ns - 7_250_000_000 <= after_ns


def test_sleeps_no_less_than_asked_and_not_at_all_for_the_past() -> None:
    clock = VirtualClock(offset_s=-2.0, drift_ppm=100)
    deadline_ns = clock.now_ns() + 2_000_000
    clock.sleep_until(deadline_ns)
    assert clock.now_ns() >= deadline_ns
    clock.sleep_until(deadline_ns - 3_600_000_000_000)
