"""A virtual board whose own sensors show a part of what it draws, late: files of a chip that a thread rewrites."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from power import Accuracy, HwmonChip
from testbed import rail_cards
from testbed.calibrate.rails import make_card
from testbed.config import Bench, load_bench
from testbed.errors import BenchError
from testbed.monitors.rails import RailsMonitor
from testbed.virtual.supply import SupplyReader
from tests.power.trees import put, put_all

BENCH = """
name: pi
board: {kind: virtual, profile: raspberry-pi-5, supply_voltage_v: 5.1 V, thermal_time_scale: 0.02}
monitor: {kind: ina-bridge, port: emulated, sensor: ina226, shunt_ohm: 15 mOhm, supply_voltage_v: 5.1 V}
"""
GAIN, OFFSET_W, DELAY_S = -0.12, -0.6, 0.04
STEP_S = 0.004
ACCURACY = Accuracy(gain_limit=0.01, offset_limit_w=0.1, step_w=1e-3, conversion_s=0.001, refresh_s=STEP_S)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bench.yaml").write_text(BENCH)
    return load_bench(tmp_path / "bench.yaml")


@contextmanager
def shown(supply: Path, root: Path) -> Iterator[None]:
    """The far end: the chip's file follows the supply."""
    chip = root / "sys/class/hwmon/hwmon3"
    put_all(chip, {"name": "ina238", "power1_input": 0})
    over = threading.Event()
    reader = SupplyReader(supply)

    def follow() -> None:
        while not over.wait(STEP_S):
            reader.refresh()
            watts = float(reader.power_w(time.monotonic_ns() - round(DELAY_S * 1e9)))
            put(chip / "power1_input", round(1e6 * ((1.0 + GAIN) * watts + OFFSET_W)))

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()
        reader.close()


class TreeRails(RailsMonitor):
    """A chip whose files lie elsewhere."""

    root: Path

    def board_sensor(self) -> HwmonChip:
        return HwmonChip("ina238", total=["power1"], accuracy=ACCURACY, root=self.root)


def test_the_card_of_a_boards_own_sensors_says_what_they_are_off_by(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "bench"))
    settings = TreeRails(kind="rails", rate_hz=100.0, root=tmp_path)
    rails = bench.model_copy(update={"name": "rails", "monitor": settings})
    with ExitStack() as stack:

        def on_step(text: str) -> None:
            """The supply is there once the bench is open."""
            if text.startswith("watching ina-bridge"):
                (supply,) = (tmp_path / "bench").glob("*/supply")
                stack.enter_context(shown(supply, tmp_path))

        record = make_card(bench, rails, 1, on_step, rounds=2)

    card = record.fitted
    assert card.gain == pytest.approx(GAIN, abs=0.02)
    assert card.offset_w == pytest.approx(OFFSET_W, abs=0.1)
    assert card.delay_s == pytest.approx(DELAY_S, abs=0.01)
    assert card.held_out_error < 0.02
    assert card.loads > 6
    assert (record.provenance, record.board_serial) == ("virtual", "virtual-1")
    assert record.temperature_c is not None
    rail_cards.write(record, tmp_path / "card.json")
    assert rail_cards.read(tmp_path / "card.json", settings.facts()) == record


def test_a_card_needs_sensors_on_the_board_and_a_meter_beside_them(bench: Bench) -> None:
    with pytest.raises(BenchError, match="no monitor on its board"):
        make_card(bench, bench, 1, lambda _: None)
