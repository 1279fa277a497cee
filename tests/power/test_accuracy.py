"""The standing accuracy test: joules through real drivers and real serial ports against joules in closed form."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.energy_accuracy import LOADS, METERS, Accuracy, Point, measure

CAPTURES = 204
BIAS_LIMIT = {0.005: 0.03, 0.02: 0.01, 0.1: 0.002, 0.25: 0.002, 2.0: 0.002}


@pytest.fixture(scope="module")
def points() -> list[Point]:
    return measure(CAPTURES, seed=2)


def accuracy(points: list[Point], chosen: Callable[[Point], bool]) -> Accuracy:
    return Accuracy.of(point for point in points if chosen(point))


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("window_s", BIAS_LIMIT)
def test_there_is_no_bias(points: list[Point], meter: str, window_s: float) -> None:
    of_window = [point for point in points if point.meter == meter and point.window_s == window_s]
    if meter == "ina-bridge" and window_s == 0.005:
        assert not of_window, "the bridge must refuse a window as short as this"
        return
    assert abs(Accuracy.of(of_window).bias) <= BIAS_LIMIT[window_s]


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("place", ["edges", "random"])
def test_the_uncertainty_is_neither_optimistic_nor_padded(
    points: list[Point], meter: str, load: str, place: str
) -> None:
    figures = accuracy(points, lambda point: (point.meter, point.load, point.place) == (meter, load, place))
    assert figures.count >= 90
    assert 0.90 <= figures.coverage <= 1.0
    assert 0.5 <= figures.normalised_rms <= 1.2


@pytest.mark.parametrize("window_s", BIAS_LIMIT)
def test_the_uncertainty_holds_at_every_length(points: list[Point], window_s: float) -> None:
    figures = accuracy(points, lambda point: point.window_s == window_s)
    assert 0.90 <= figures.coverage <= 1.0
    assert 0.5 <= figures.normalised_rms <= 1.2
