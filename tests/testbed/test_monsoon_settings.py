"""What a bench file may ask of a Monsoon, and the wiring that is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.config import load_bench
from testbed.config.plugins import monitor_kinds
from testbed.errors import BenchError
from testbed.wiring import refuse_impossible_wiring, wiring_problems

PI = "board: {kind: linux, model: raspberry-pi-5, supply_voltage_v: 5.1 V}\n"
Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(monitor: str, board: str = PI) -> Any:
        path = tmp_path / "bench.yaml"
        path.write_text(f"name: my\n{board}monitor: {{{monitor}}}\n", encoding="utf-8")
        return load_bench(path)

    return load


def test_the_example_is_a_bench_that_could_exist() -> None:
    bench = load_bench(Path(__file__).parents[2] / "examples" / "benches" / "raspberry-pi-5-hvpm.yaml")
    refuse_impossible_wiring(bench)
    monitor = bench.monitor.build(bench.board, None)
    assert monitor.spec.whole.name == "main"


def test_a_monsoon_on_usb_is_listed_with_what_it_lacks(tmp_path: Path) -> None:
    kind = monitor_kinds()["monsoon-hvpm"]
    for name, vendor in (("1-1", "2ab9"), ("1-2", "1d6b"), ("1-0:1.0", "")):
        device = tmp_path / "sys/bus/usb/devices" / name
        device.mkdir(parents=True)
        attributes = {"idVendor": vendor, "idProduct": "0001", "serial": "20017", "busnum": "1", "devnum": "7"}
        for attribute, value in attributes.items():
            (device / attribute).write_text(f"{value}\n")
    (found,) = kind.attached(tmp_path)
    assert found.settings["serial_number"] == 20017
    assert "udev" in found.trouble
    node = tmp_path / "dev/bus/usb/001/007"
    node.parent.mkdir(parents=True)
    node.touch()
    (found,) = kind.attached(tmp_path)
    assert not found.trouble


@pytest.mark.parametrize("kind", ["monsoon-hvpm", "monsoon-lvpm, port: auto, serial_number: 7, channel: aux"])
def test_channels_beside_the_boards_own(load: Load, kind: str) -> None:
    also = "also: [{channel: usb, supply_voltage_v: 5 V, supply_voltage_tolerance: 0.02, counts: false}]"
    bench = load(f"kind: {kind}, supply_voltage_v: 5.1 V, run_time_limit_a: 6 A, {also}")
    assert not wiring_problems(bench)
    spec = bench.monitor.build(bench.board, None).spec
    assert [channel.name for channel in spec.channels][1] == "usb"
    assert spec.total == (0,)


@pytest.mark.parametrize(
    ("monitor", "words"),
    [
        ("kind: monsoon-hvpm, supply_voltage_v: 5.1 V, run_time_limit_a: 16 A", "0 to 15 A"),
        ("kind: monsoon-hvpm, supply_voltage_v: 19 V", "0.8 to 13.5 V"),
        ("kind: monsoon-hvpm, supply_voltage_v: 5 V, also: [{channel: main, supply_voltage_v: 5 V}]", "each once"),
        (
            "kind: monsoon-lvpm, port: auto, channel: aux, supply_voltage_v: 5.1 V, "
            "also: [{channel: aux, supply_voltage_v: 5 V}]",
            "once",
        ),
        ("kind: monsoon-lvpm, port: auto, channel: aux, supply_voltage_v: 5.1 V, power_up_limit_a: 9 A", "8"),
    ],
)
def test_settings_that_the_device_lacks_are_named(load: Load, monitor: str, words: str) -> None:
    with pytest.raises(BenchError, match=words.replace(".", r"\.")):
        load(monitor)


@pytest.mark.parametrize(
    ("monitor", "board", "words"),
    [
        (
            "kind: monsoon-hvpm, supply_voltage_v: 13 V",
            "board: {kind: linux, model: jetson-agx-orin, supply_voltage_v: 19 V}\n",
            "cannot feed a board of 19 V",
        ),
        ("kind: monsoon-lvpm, port: auto, channel: main, supply_voltage_v: 5.1 V", PI, "not 5.1 V"),
        (
            "kind: monsoon-lvpm, port: auto, channel: aux, supply_voltage_v: 5.1 V, "
            "also: [{channel: main, supply_voltage_v: 5 V, counts: false}]",
            PI,
            "Main output gives 2.01-4.55 V, not 5 V",
        ),
        ("kind: monsoon-hvpm, supply_voltage_v: 9 V", PI, "must stand in the board's own supply line"),
        ("kind: monsoon-hvpm, supply_voltage_v: 5.1 V, run_time_limit_a: 1 A", PI, "Main gives 1 A; raise"),
    ],
)
def test_wiring_that_cannot_work_is_refused(load: Load, monitor: str, board: str, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        refuse_impossible_wiring(load(monitor, board))
