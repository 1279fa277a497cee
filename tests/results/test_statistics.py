from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


COUNT, TRIALS = 200, 20


def blocks_of(random: np.random.Generator, blocks: int, between: float) -> tuple[list[int], np.ndarray]:
    """Trials of blocks that differ: their block, and the logarithm of their energies about 0."""
    level = np.repeat(random.normal(0, between, blocks), TRIALS)
    return np.repeat(np.arange(blocks), TRIALS).tolist(), level + random.normal(0, 0.1, blocks * TRIALS)


@pytest.mark.parametrize("blocks", [3, 4, 8])
@pytest.mark.parametrize("between", [0.0, 0.2])
def test_intervals_over_blocks_cover_as_often_as_they_say(blocks: int, between: float) -> None:
    random = np.random.default_rng(5)
    truth_j = float(np.exp((between**2 + 0.1**2) / 2))
    covered = dict.fromkeys(("mean", "ratio", "median", "trials"), 0)
    for seed in range(COUNT):
        block, log_energy = blocks_of(random, blocks, between)
        energy_j = np.exp(log_energy)
        other_j = 2 * energy_j * np.exp(random.normal(0, 0.1, len(energy_j)) - 0.1**2 / 2)
        drawn = Blocks.drawn(block, seed, "a")
        ratio = drawn.mean(other_j.tolist()).over(drawn.mean(energy_j.tolist()))
        assert ratio is not None
        for name, found, truth in (
            ("mean", drawn.mean(energy_j.tolist()), truth_j),
            ("ratio", ratio, 2.0),
            ("median", drawn.median(energy_j.tolist()), 1.0),
            ("trials", resample_mean(energy_j.tolist(), seed, "a"), truth_j),
        ):
            estimate = found.estimate()
            assert estimate.low is not None
            assert estimate.high is not None
            covered[name] += estimate.low <= truth <= estimate.high
    for name in ("mean", "ratio", "median"):
        assert covered[name] >= 0.88 * COUNT, covered
    if between:
        assert covered["trials"] < 0.7 * COUNT, "resampling trials would have done: the blocks do not differ"


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
