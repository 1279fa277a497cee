from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from power import Corrected, RailCard
from testbed import rail_cards
from testbed.config import Bench, load_bench
from testbed.errors import BenchError
from testbed.monitors.on_board import OnBoardMonitor

CARD = RailCard(-0.1, 0.01, -0.5, 0.02, 0.03, 0.001, 0.004, 24, (3.0, 9.0))
BENCH = """
name: orin
board: {kind: jetson, model: jetson-agx-orin, supply_voltage_v: 15 V}
monitor: {kind: rails, rate_hz: RATE, card: card.json}
"""


def bench(folder: Path, rate_hz: int = 50) -> Bench:
    (folder / "bench.yaml").write_text(BENCH.replace("RATE", str(rate_hz)))
    return load_bench(folder / "bench.yaml")


def record(folder: Path, **altered: Any) -> rail_cards.CardRecord:
    (folder / "card.json").write_text("{}")
    settings = bench(folder).monitor
    assert isinstance(settings, OnBoardMonitor)
    made = rail_cards.record_of(
        CARD,
        board_model="Orin",
        board_serial="7",
        provenance="measured",
        rails=settings.facts(),
        meter="a meter",
        supply_voltage_v=15.0,
        temperature_c=45.0,
    ).model_copy(update=altered)
    rail_cards.write(made, folder / "card.json")
    return made


def test_a_bench_with_a_card_has_a_corrected_monitor_that_is_labelled(tmp_path: Path) -> None:
    made = record(tmp_path)
    there = bench(tmp_path)
    assert isinstance(there.monitor, OnBoardMonitor)

    assert isinstance(there.monitor.build(there.board, None), Corrected)
    assert there.monitor.labels == (str(made),)
    assert made.fitted == CARD
    assert "gain -10.00% ± 1.00%" in str(made)
    there.monitor.require_board({"model": "Orin", "serial": "7"})
    with pytest.raises(BenchError, match="is of the board Orin 7, and this is Orin 8"):
        there.monitor.require_board({"model": "Orin", "serial": "8"})


def test_a_card_that_does_not_hold_here_or_now_is_refused_with_the_cure(tmp_path: Path) -> None:
    made = record(tmp_path)
    with pytest.raises(BenchError, match=r"another monitor\.rate_hz; make another"):
        bench(tmp_path, rate_hz=20).monitor.build(bench(tmp_path).board, None)  # type: ignore[union-attr]
    record(tmp_path, expires=made.created)
    with pytest.raises(BenchError, match="expired on"):
        bench(tmp_path).monitor.build(bench(tmp_path).board, None)  # type: ignore[union-attr]
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(BenchError, match="is no rail card"):
        bench(tmp_path).monitor.build(bench(tmp_path).board, None)  # type: ignore[union-attr]
    (tmp_path / "card.json").unlink()
    with pytest.raises(BenchError, match="cannot be read"):
        bench(tmp_path).monitor.build(bench(tmp_path).board, None)  # type: ignore[union-attr]
