from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.interval_coverage import coverage
from results.statistics import Blocks, Resampled, geometric_mean, mean, resample_mean


def test_the_mean_of_equal_values_is_certain() -> None:
    estimate = resample_mean([2.5] * 5, 7, "a").estimate()
    assert (estimate.value, estimate.low, estimate.high) == (2.5, 2.5, 2.5)


def test_one_value_has_no_interval() -> None:
    estimate = resample_mean([2.5], 7, "a").estimate()
    assert (estimate.value, estimate.low, estimate.high) == (2.5, None, None)


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=20), st.integers())
def test_the_interval_lies_within_the_values(values: list[float], seed: int) -> None:
    estimate = resample_mean(values, seed, "a").estimate()
    assert estimate.value == pytest.approx(np.mean(values))
    assert estimate.low is not None
    assert estimate.high is not None
    assert min(values) * (1 - 1e-9) <= estimate.low <= estimate.high <= max(values) * (1 + 1e-9)


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [resample_mean(rng.normal(10, 2, 40).tolist(), seed, "a").estimate() for seed in range(300)]
    covered = np.mean([interval.low <= 10 <= interval.high for interval in intervals])
    assert 0.91 <= covered <= 0.98


def test_same_seed_and_name_draw_the_same() -> None:
    values = [1.0, 2.0, 4.0]
    first, again = resample_mean(values, 7, "a"), resample_mean(values, 7, "a")
    assert np.array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, resample_mean(values, 8, "a").draws)
    assert not np.array_equal(first.draws, resample_mean(values, 7, "b").draws)


def test_a_ratio_to_itself_is_certain() -> None:
    mean = resample_mean([1.0, 2.0, 4.0], 7, "a")
    ratio = mean.over(mean)
    assert ratio is not None
    assert (ratio.estimate().low, ratio.estimate().high) == (1.0, 1.0)


def test_there_is_no_ratio_to_nothing() -> None:
    energy, nothing = resample_mean([1.0, 2.0], 7, "a"), resample_mean([0.0, 0.0], 7, "b")
    assert energy.over(nothing) is None
    assert nothing.over(energy) is None


def test_geometric_mean_of_ratios() -> None:
    mean = geometric_mean([resample_mean([2.0, 2.0], 7, "a"), resample_mean([8.0, 8.0], 7, "b")]).estimate()
    assert mean.value == pytest.approx(4.0)
    assert mean.low == pytest.approx(4.0)
    assert mean.high == pytest.approx(4.0)


@pytest.mark.parametrize("between", [0.0, 0.2])
def test_intervals_over_blocks_cover_about_as_often_as_they_say(between: float) -> None:
    found = coverage(4, between, runs=100)
    assert found.mean >= 0.9
    assert found.ratio >= 0.9
    assert found.median >= 0.85
    assert (found.trials < 0.6) == (between > 0)  # resampling trials would not do where blocks differ


def test_blocks_of_places_are_pooled() -> None:
    """Two blocks say too little alone; two in each of four places say enough together."""
    places = [Blocks.drawn([0, 0, 1, 1], 7, name).mean([1.0, 1.1, 1.2, 1.3]) for name in "abcd"]
    assert places[0].estimate().low is None
    assert geometric_mean(places).estimate().low is not None
    assert geometric_mean([places[0], places[0]]).estimate().low is None  # the same blocks, seen twice


def test_a_higher_confidence_is_wider() -> None:
    drawn = Blocks.drawn([0, 1, 2, 3], 7, "a").mean([1.0, 1.1, 1.2, 1.3])
    usual, wide = drawn.estimate(), drawn.estimate(0.99)
    assert usual.low is not None
    assert wide.low is not None
    assert wide.low < usual.low


def test_a_median_of_more_values_than_steps_is_near_enough() -> None:
    values = np.random.default_rng(3).lognormal(0, 1, 20_000)
    blocks = (np.arange(20_000) // 1000).tolist()
    estimate = Blocks.drawn(blocks, 7, "a").median(values.tolist()).estimate()
    assert estimate.value == np.median(values)
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0.9 < estimate.low < 1.0 < estimate.high < 1.1


def test_a_difference_of_fractions_may_lie_about_nothing() -> None:
    blocks = Blocks.drawn([0, 1, 2, 3], 7, "a")
    before, after = (blocks.fraction(missed, [10] * 4) for missed in ([1, 0, 2, 1], [0, 2, 1, 1]))
    difference: Resampled = mean([after.less(before)])
    estimate = difference.estimate()
    assert estimate.value == pytest.approx(0.0)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < 0 < estimate.high
