"""Marks against the samples they belong to, in virtual time: the board drifts by 50 ppm, USB delivers with jitter."""

from __future__ import annotations

import json

import pytest

from bench.mark_accuracy import LIMITS_SAMPLES, METERS, OUTPUT, Placed, Row, measure, table

RUNS, SEED = 3, 7


@pytest.fixture(scope="module")
def placed() -> list[Placed]:
    return measure(RUNS, SEED)


@pytest.fixture(scope="module")
def rows(placed: list[Placed]) -> dict[tuple[str, str], Row]:
    return {(row.meter, row.method): row for row in table(placed)}


@pytest.mark.parametrize("method", LIMITS_SAMPLES)
@pytest.mark.parametrize("meter", METERS)
def test_a_mark_lies_by_its_sample(rows: dict[tuple[str, str], Row], meter: str, method: str) -> None:
    row = rows[meter, method]
    assert row.marks == RUNS * 24
    assert row.worst_samples <= LIMITS_SAMPLES[method]


@pytest.mark.parametrize("meter", METERS)
def test_the_wire_and_the_burst_beat_the_hosts_clocks(rows: dict[tuple[str, str], Row], meter: str) -> None:
    """What the clocks leave open, a wire or a burst settles."""
    for method in LIMITS_SAMPLES:
        assert rows[meter, method].worst_samples < rows[meter, "clock"].worst_samples


@pytest.mark.parametrize("meter", METERS)
def test_every_way_knows_how_far_it_may_be_off(placed: list[Placed], meter: str) -> None:
    for method in ("line", "pulse", "clock"):
        errors = [mark.normalised_error for mark in placed if (mark.meter, mark.method) == (meter, method)]
        assert max(map(abs, errors)) < 4
        assert sum(error**2 for error in errors) / len(errors) < 1.5**2


def test_the_committed_table_is_of_this_benchmark() -> None:
    table = json.loads(OUTPUT.read_text())
    assert {(row["meter"], row["method"]) for row in table["rows"]} == {
        (meter, method) for meter in METERS for method in ("line", "pulse", "clock")
    }
    assert all(
        row["worst_samples"] <= LIMITS_SAMPLES[row["method"]]
        for row in table["rows"]
        if row["method"] in LIMITS_SAMPLES
    )
