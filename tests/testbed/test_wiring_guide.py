"""The wiring guide against what `doctor` knows: one source of limits, benches that load, images that exist."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from testbed.boards.draw import KNOWN_DRAW, BoardModel
from testbed.config import Bench, bench_schema, load_bench
from testbed.monitors.ina_bridge import InaBridgeMonitor
from testbed.wiring import wiring_problems

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/how-to/wire-a-meter.md").read_text()
BENCHES = sorted((ROOT / "examples/benches").glob("*.yaml"))


def row(board: BoardModel) -> str:
    """The guide's row of a board with a shunt, by the bench file that goes with it."""
    bench = load_bench(ROOT / f"examples/benches/{board}.yaml")
    draw, monitor = KNOWN_DRAW[board], bench.monitor
    assert isinstance(monitor, InaBridgeMonitor)
    low_v, high_v = draw.voltage_v
    most_a = draw.power_w / bench.board.supply_voltage_v
    drop_v = most_a * monitor.shunt_ohm
    return (
        f"| [{board}](../../examples/benches/{board}.yaml) | {low_v:g}-{high_v:g} V | {draw.power_w:g} W | "
        f"{bench.board.supply_voltage_v:g} V, {most_a:.2g} A | {monitor.shunt_ohm * 1e3:g} mOhm | "
        f"{drop_v * 1e3:.2g} mV | {drop_v * most_a:.2g} W |"
    )


@pytest.mark.parametrize("board", KNOWN_DRAW)
def test_the_guide_has_each_board_with_the_limits_the_doctor_has(board: BoardModel) -> None:
    assert row(board) in GUIDE.splitlines()


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_every_example_bench_can_be_wired(path: Path) -> None:
    assert wiring_problems(load_bench(path)) == []


def test_everything_the_guide_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", GUIDE) if "://" not in link]
    assert len(links) > len(KNOWN_DRAW)
    for link in links:
        assert (ROOT / "docs/how-to" / link).exists(), link


@pytest.mark.parametrize("path", sorted((ROOT / "docs/images").glob("wire-*.svg")), ids=lambda path: path.stem)
def test_every_diagram_is_shown_and_says_what_it_shows(path: Path) -> None:
    assert f"](../images/{path.name})" in GUIDE
    assert ET.parse(path).getroot()[0].text


def bench(board: BoardModel, supply_v: float, **monitor: object) -> Bench:
    return bench_schema().model_validate(
        {
            "name": "wired",
            "board": {"kind": "linux", "model": board, "supply_voltage_v": supply_v},
            "monitor": {"supply_voltage_v": supply_v, **monitor},
        }
    )


INA219 = {"kind": "ina-bridge", "port": "/dev/ttyUSB0", "sensor": "ina219"}


def test_a_shunt_that_starves_the_board_is_refused_with_the_largest_that_does_not() -> None:
    (problem,) = wiring_problems(bench("raspberry-pi-4", 5.0, **INA219, shunt_ohm=0.1))
    assert "leaves the board 4.7 V, below the 4.75 V it needs; take at most 83 mOhm" in problem
    assert wiring_problems(bench("raspberry-pi-4", 5.0, **INA219, shunt_ohm=0.083)) == []


def test_a_supply_outside_the_boards_range_is_named_once() -> None:
    (problem,) = wiring_problems(bench("jetson-nano", 4.5, **INA219, shunt_ohm=0.01))
    assert "outside the board's input range" in problem


def test_a_sensor_is_not_put_on_more_than_its_pins_bear() -> None:
    problems = wiring_problems(bench("jetson-agx-orin", 27.0, **INA219, shunt_ohm=0.02))
    assert any("the ina219 bears 26 V at its pins" in problem for problem in problems)
