"""Which steps a bench keeps of those its board offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.config import load_bench
from testbed.config.plugins import Steps
from testbed.errors import BenchError
from testbed.frequencies import evenly_spaced, kept_steps

OFFERED = {"cpu": [2e9, 1e9, 1.5e9], "gpu": [306e6, 612e6, 1300.5e6]}


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("all", [306e6, 612e6, 1300.5e6]),
        (2, [306e6, 1300.5e6]),
        ([1300e6, 306e6, 306e6], [306e6, 1300.5e6]),
    ],
)
def test_all_some_or_those_named_are_kept(keep: Steps, expected: list[float]) -> None:
    assert kept_steps(OFFERED, {"gpu": keep}, "the board") == {"cpu": [1e9, 1.5e9, 2e9], "gpu": expected}


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"gpu": 4}, "gpu of the board has 3 steps, 4 cannot be kept"),
        ({"gpu": [500e6]}, "gpu of the board has no step at 500 MHz; the nearest is 612 MHz, steps in MHz: 306, 612"),
        ({"cp": "all"}, "the frequency of 'cp' cannot be set on the board; did you mean 'cpu'?"),
        ({"npu1": "all"}, "cannot be set on the board; those that can: cpu, gpu"),
    ],
)
def test_what_cannot_be_kept_is_named(keep: dict[str, Steps], message: str) -> None:
    with pytest.raises(BenchError, match=r"board\.frequencies: .*") as refusal:
        kept_steps(OFFERED, keep, "the board")
    assert message in str(refusal.value)


@given(st.lists(st.floats(1e6, 1e10), min_size=2, max_size=40, unique=True), st.data())
def test_the_ends_are_among_those_evenly_spaced(steps: list[float], data: st.DataObject) -> None:
    ordered = sorted(steps)
    kept = evenly_spaced(ordered, data.draw(st.integers(2, len(ordered))))
    assert (kept[0], kept[-1]) == (ordered[0], ordered[-1])
    assert kept == sorted(set(kept))


def test_a_bench_file_writes_them_with_units(tmp_path: Path) -> None:
    file = tmp_path / "bench.yaml"
    board = "{kind: linux, supply_voltage_v: 12, frequencies: {cpu: 5, gpu: [306 MHz, 612 MHz], dla0: all}}"
    file.write_text(f"name: some\nboard: {board}\n")
    assert load_bench(file).board.frequencies == {"cpu": 5, "gpu": [306e6, 612e6], "dla0": "all"}
    file.write_text("name: some\nboard: {kind: linux, supply_voltage_v: 12, frequencies: {cpu: 1}}\n")
    with pytest.raises(BenchError, match="frequencies"):
        load_bench(file)
