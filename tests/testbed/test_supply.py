"""The supply file: what is written is what is read, and every integral is exact."""

from __future__ import annotations

import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.virtual.supply import SupplyReader, SupplyWriter

_times = st.integers(0, 10**10)
_records = st.lists(st.tuples(_times, st.floats(0.0, 50.0), st.floats(-1e4, 1e4)), min_size=1, max_size=12).map(
    lambda records: sorted(records, key=lambda record: record[0])
)


def _frozen() -> int:
    return 0


def _write(path: Path, records: list[tuple[int, float, float]]) -> None:
    path.unlink(missing_ok=True)
    with SupplyWriter(path, clock=_frozen) as writer:
        writer.set_many(records)


def _exact_energy_j(records: list[tuple[int, float, float]], start_ns: int, end_ns: int) -> float:
    """By rational arithmetic, piece by piece."""
    total = Fraction(0)
    for (time_ns, power_w, slope), (next_ns, _, _) in pairwise([*records, (2**62, 0.0, 0.0)]):
        first, last = max(time_ns, start_ns), min(next_ns, end_ns)
        if last > first:
            middle_s = Fraction(first + last - 2 * time_ns, 2 * 10**9)
            total += (Fraction(power_w) + Fraction(slope) * middle_s) * Fraction(last - first, 10**9)
    return float(total)


@settings(max_examples=60, deadline=None)
@given(records=_records, window=st.tuples(_times, _times).map(sorted))
def test_energy_is_that_of_rational_arithmetic(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, float, float]], window: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "rational"
    _write(path, records)
    start_ns, end_ns = window
    with SupplyReader(path) as reader:
        expected_j = _exact_energy_j(records, start_ns, end_ns)
        # A ramp of 1e4 W/s over 10 s reaches 1e5 W: the rounding is that of 5e5 J.
        assert reader.energy_j(start_ns, end_ns) == pytest.approx(expected_j, rel=1e-12, abs=1e-8)
        if end_ns > start_ns:
            mean_w = reader.mean_power_w([start_ns], [end_ns])
            assert mean_w[0] == pytest.approx(
                expected_j / ((end_ns - start_ns) / 1e9), rel=1e-9, abs=1e-6 + 10 / (end_ns - start_ns)
            )


@settings(max_examples=40, deadline=None)
@given(records=_records, cuts=st.lists(st.integers(0, 300), max_size=6), times=st.lists(_times, min_size=1))
def test_a_file_read_as_it_grows_reads_as_one_read_whole(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[int, float, float]],
    cuts: list[int],
    times: list[int],
) -> None:
    whole, growing = tmp_path_factory.getbasetemp() / "whole", tmp_path_factory.getbasetemp() / "growing"
    _write(whole, records)
    data = whole.read_bytes()
    growing.write_bytes(b"")
    with SupplyReader(whole) as at_once, SupplyReader(growing) as bit_by_bit:
        for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
            with growing.open("ab") as file:
                file.write(data[start:end])
            bit_by_bit.refresh()
        assert np.array_equal(at_once.power_w(times), bit_by_bit.power_w(times))
        assert bit_by_bit.energy_j(0, 10**10) == pytest.approx(at_once.energy_j(0, 10**10), rel=1e-12, abs=1e-8)


def test_power_holds_ramps_and_begins_at_nothing(tmp_path: Path) -> None:
    _write(tmp_path / "supply", [(1000, 5.0, 0.0), (2000, 7.0, 0.0), (2000, 8.0, 1e9), (4000, 1.0, 0.0)])
    with SupplyReader(tmp_path / "supply") as reader:
        assert reader.power_w([0, 999, 1000, 1999, 2000, 3500, 4000, 10**12]).tolist() == [0, 0, 5, 5, 8, 1508, 1, 1]
        assert reader.mean_power_w([1999, 3500], [1999, 3500]).tolist() == [5, 1508]
        assert reader.energy_j(0, 2000) == pytest.approx(5e-6)


def test_an_empty_supply_is_dead(tmp_path: Path) -> None:
    _write(tmp_path / "supply", [])
    with SupplyReader(tmp_path / "supply") as reader:
        assert reader.power_w([0, 10**9]).tolist() == [0, 0]
        assert reader.energy_j(0, 10**9) == 0


def test_the_past_cannot_change_but_the_future_can_be_planned(tmp_path: Path) -> None:
    with SupplyWriter(tmp_path / "supply", clock=lambda: 1_000_000, grace_ns=100_000) as writer:
        assert writer.set(10, 1.0) == 900_000
        assert writer.set(950_000, 2.0) == 950_000
        assert writer.set(920_000, 3.0) == 950_000
        assert writer.set_many([(7_000_000, 4.0, 0.0), (6_000_000, 5.0, 0.0)]) == [7_000_000, 7_000_000]
    with SupplyWriter(tmp_path / "supply", clock=_frozen) as another:
        assert another.set(0, 6.0) == 7_000_000


def test_threads_leave_times_in_order(tmp_path: Path) -> None:
    with SupplyWriter(tmp_path / "supply", clock=_frozen) as writer:
        threads = [
            threading.Thread(target=lambda first: [writer.set(t, 1.0) for t in range(first, 20_000, 40)], args=(first,))
            for first in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    times = np.fromfile(tmp_path / "supply", np.dtype([("t", "<i8"), ("p", "<f8"), ("s", "<f8")]))["t"]
    assert len(times) == 2000
    assert (np.diff(times) >= 0).all()


def test_what_is_forgotten_is_not_made_up(tmp_path: Path) -> None:
    _write(tmp_path / "supply", [(time_ns, time_ns / 1000, 0.0) for time_ns in range(0, 5_000_000, 1000)])
    with SupplyReader(tmp_path / "supply") as reader:
        before_j = reader.energy_j(4_000_500, 4_800_100)
        reader.forget_before(4_000_500)
        assert reader.energy_j(4_000_500, 4_800_100) == pytest.approx(before_j, rel=1e-12)
        with pytest.raises(ValueError, match="forgotten"):
            reader.energy_j(3_000_000, 4_800_100)


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="create its SupplyWriter first"):
        SupplyReader(tmp_path / "absent")
    (tmp_path / "text").write_text("no supply")
    with pytest.raises(ValueError, match="not a supply file"):
        SupplyWriter(tmp_path / "text")
    with SupplyWriter(tmp_path / "supply") as writer, pytest.raises(ValueError, match="finite"):
        writer.set(0, float("nan"))
    with SupplyReader(tmp_path / "supply") as reader, pytest.raises(ValueError, match="ends before it starts"):
        reader.mean_power_w([2], [1])
