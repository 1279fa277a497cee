"""Sums of a trace that comes piece by piece: however it is cut, they are those of the whole."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import Channel, Kind, MonitorSpec, Samples, Tally

RATE_HZ = 1000.0


def spec(channels: int = 1) -> MonitorSpec:
    return MonitorSpec(
        name="made up",
        rate_hz=RATE_HZ,
        channels=tuple(Channel(f"rail{i}", 1e-3, 0.01, 1e-3) for i in range(channels)),
        kind=Kind.AVERAGING,
        aperture_s=1 / RATE_HZ,
        shortest_window_s=0.02,
        total=tuple(range(channels)),
    )


def rows(power_w: list[list[float]], index: list[int] | None = None) -> Samples:
    """Samples of several channels, row by row."""
    grid = np.array(power_w, np.float64)
    at = np.arange(len(grid)) if index is None else np.array(index)
    return Samples(
        index=np.repeat(at, grid.shape[1]),
        time_ns=np.repeat(at * 1_000_000, grid.shape[1]),
        channel=np.tile(np.arange(grid.shape[1], dtype=np.uint8), len(grid)),
        power_w=grid.ravel(),
    )


@given(
    st.lists(st.lists(st.floats(0, 100), min_size=2, max_size=2), min_size=2, max_size=40),
    st.lists(st.integers(0, 80), max_size=6),
)
def test_however_the_trace_is_cut_the_sums_are_the_same(power_w: list[list[float]], cuts: list[int]) -> None:
    whole, pieces, samples = Tally(spec(2)), Tally(spec(2)), rows(power_w)
    whole.add(samples)
    bounds = sorted({0, len(samples), *(min(cut, len(samples)) for cut in cuts)})
    for first, end in pairwise(bounds):
        pieces.add(samples.take(slice(first, end)))
    for one, other in ((whole.total, pieces.total), *zip(whole.channels, pieces.channels, strict=True)):
        assert other.energy_j == pytest.approx(one.energy_j, abs=1e-12)
        assert (other.count, other.lost, other.peak_w, other.latest_w) == (
            one.count,
            one.lost,
            one.peak_w,
            one.latest_w,
        )


def test_energy_of_a_ramp_and_its_uncertainty() -> None:
    tally = Tally(spec())
    tally.add(rows([[float(i)] for i in range(1001)]))
    assert tally.total.energy_j == pytest.approx(500.0)
    assert tally.total.mean_w == pytest.approx(500.0)
    assert tally.total.standard_uncertainty_j == pytest.approx(np.hypot(5.0, 1e-3))


def test_lost_samples_are_bridged_counted_and_widen_the_uncertainty() -> None:
    tally = Tally(spec())
    tally.add(rows([[10.0], [10.0]], [0, 1]))
    tally.add(rows([[20.0], [20.0]], [101, 102]))
    assert tally.total.lost == 99
    assert tally.total.energy_j == pytest.approx(0.01 + 1.5 + 0.02)
    assert tally.total.standard_uncertainty_j > 10 / 12**0.5 * 0.1


def test_the_total_waits_for_the_channel_that_comes_late() -> None:
    tally, samples = Tally(spec(2)), rows([[1.0, 2.0], [3.0, 4.0]])
    assert len(tally.add(samples.take(slice(0, 3)))) == 1
    assert tally.add(samples.take(slice(3, 4))).power_w.tolist() == [7.0]


def test_what_a_counter_lost_is_in_its_next_sample() -> None:
    counted = Tally(replace(spec(), kind=Kind.COUNTING))
    counted.add(rows([[3.0], [5.0], [7.0]], index=[0, 1, 4]))
    assert counted.total.energy_j == pytest.approx(0.005 + 3 * 0.007)
    assert counted.total.standard_uncertainty_j == pytest.approx(math.hypot(0.01 * 0.026, 1e-3 * 0.004))
    assert counted.total.lost == 2
