"""The standing accuracy test: joules through real drivers and real serial ports against joules in closed form."""

from __future__ import annotations

import pytest

from bench.captures import LOADS, METERS, Accuracy, Point, measure
from bench.energy_accuracy import (
    BIAS_LIMITS,
    CAPTURES,
    COVERAGE_LIMITS,
    RMS_LIMITS,
    SEED,
    by_load,
    by_window,
)


@pytest.fixture(scope="module")
def points() -> list[Point]:
    return measure(CAPTURES, SEED)


def check_uncertainty(points: list[Point]) -> None:
    """Neither optimistic nor padded."""
    figures = Accuracy.of(points)
    least, most = COVERAGE_LIMITS
    assert least <= figures.coverage <= most
    padded, optimistic = RMS_LIMITS
    assert padded <= figures.normalised_rms <= optimistic


def test_there_are_enough_captures_of_everything(points: list[Point]) -> None:
    assert CAPTURES >= 200
    assert len(by_load(points)) == len(METERS) * len(LOADS) * 2
    assert min(len(chosen) for chosen in by_load(points).values()) >= 90


@pytest.mark.parametrize("window_s", BIAS_LIMITS)
@pytest.mark.parametrize("meter", METERS)
def test_every_length_of_window(points: list[Point], meter: str, window_s: float) -> None:
    chosen = by_window(points).get(f"{meter}, {window_s:g} s", [])
    if meter == "ina-bridge" and window_s == 0.005:
        assert not chosen, "the bridge must refuse so short a window"
        return
    assert abs(Accuracy.of(chosen).bias) <= BIAS_LIMITS[window_s]
    check_uncertainty(chosen)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("place", ["edges", "random"])
@pytest.mark.parametrize("meter", METERS)
def test_every_load_and_place(points: list[Point], meter: str, place: str, load: str) -> None:
    check_uncertainty(by_load(points)[f"{meter}, {place}, {load}"])
