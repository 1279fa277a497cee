from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from testbed.virtual.rail import OPEN_NS, Rail
from testbed.virtual.supply import SupplyReader

SECOND_NS = 1_000_000_000


def test_a_play_is_written_ahead_on_top_of_the_base(tmp_path: Path) -> None:
    with Rail(tmp_path / "supply", base_w=5.0) as rail, SupplyReader(tmp_path / "supply") as supply:
        start_ns = time.monotonic_ns() + SECOND_NS
        assert rail.play(start_ns, [(0.010, 2.0), (0.005, 7.0)]) == (start_ns, start_ns + 15_000_000)
        supply.refresh()
        assert supply.energy_j(start_ns, start_ns + 15_000_000) == pytest.approx(0.010 * 7.0 + 0.005 * 12.0)
        assert supply.power_w([start_ns - 1, start_ns, start_ns + 12_000_000, start_ns + 15_000_000]).tolist() == [
            5.0,
            7.0,
            12.0,
            5.0,
        ]
        assert rail.extra_j == pytest.approx(0.055)


def test_the_base_changes_now_or_once_the_play_is_over(tmp_path: Path) -> None:
    with Rail(tmp_path / "supply", base_w=5.0) as rail, SupplyReader(tmp_path / "supply") as supply:
        before_ns = time.monotonic_ns()
        rail.set_base(6.0)
        after_ns = time.monotonic_ns()
        start_ns, end_ns = rail.play(after_ns + SECOND_NS, [(0.1, 1.0)])
        rail.set_base(9.0)
        supply.refresh()
        assert supply.power_w([before_ns, after_ns, start_ns, end_ns]).tolist() == [5.0, 6.0, 7.0, 9.0]


def test_a_late_play_keeps_its_length(tmp_path: Path) -> None:
    with Rail(tmp_path / "supply", base_w=1.0) as rail, SupplyReader(tmp_path / "supply") as supply:
        asked_ns = time.monotonic_ns() - SECOND_NS
        start_ns, end_ns = rail.play(asked_ns, [(0.002, 3.0)])
        assert start_ns > asked_ns + SECOND_NS - 2 * OPEN_NS
        assert end_ns - start_ns == 2_000_000
        supply.refresh()
        assert supply.energy_j(start_ns, end_ns) == pytest.approx(0.002 * 4.0)


def test_plays_from_many_threads_lose_no_energy(tmp_path: Path) -> None:
    with Rail(tmp_path / "supply", base_w=0.0) as rail, SupplyReader(tmp_path / "supply") as supply:
        first_ns = time.monotonic_ns()
        ends_ns: list[int] = []

        def play() -> None:
            for _ in range(50):
                ends_ns.append(rail.play(time.monotonic_ns(), [(0.0003, 2.0), (0.0002, 1.0)])[1])

        threads = [threading.Thread(target=play) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        supply.refresh()
        assert supply.energy_j(first_ns - SECOND_NS, max(ends_ns)) == pytest.approx(200 * 0.0008)
