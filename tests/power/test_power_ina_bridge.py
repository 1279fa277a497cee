from __future__ import annotations

import binascii
import os
import struct
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.far_end import FarEnd, Nursery
from power import (
    BridgeInput,
    BridgeRestarted,
    InaBridge,
    MonitorGone,
    MonitorSilent,
    PortBusy,
    PowerError,
    Samples,
    SensorFault,
    TraceIncomplete,
    WrongDevice,
    cut,
)

Listen = Callable[[InaBridge, FarEnd, float], Samples]
Bridge = Callable[..., FarEnd]
QUIET = {"noise-steps": 0.0, "conversion-error": 0.0}
SECOND = 1_000_000_000


@pytest.fixture
def bridge(nursery: Nursery, supply: Path) -> Iterator[Bridge]:
    ends: list[FarEnd] = []

    def make(**options: object) -> FarEnd:
        named = {name.replace("_", "-"): value for name, value in options.items()}
        wiring = {"supply-voltage": 5.0, "sensor": "ina219@0x40", "shunt-ohm": 0.1, "supply": supply}
        ends.append(nursery.meter("bridge", {**wiring, **QUIET, **named}))
        return ends[-1]

    yield make
    for end in ends:
        end.__exit__(None, None, None)


def driver(far_end: FarEnd, path: str, **options: object) -> InaBridge:
    wiring: dict[str, object] = {"shunt_ohm": 0.1, "supply_v": 5.0}
    only = BridgeInput(**{**wiring, **options})  # type: ignore[arg-type]
    return InaBridge(path, only, wait_s=2e-4, clock=far_end.clock)


def listened(far_end: FarEnd, listen: Listen, duration_s: float, **options: object) -> tuple[InaBridge, Samples]:
    monitor = driver(far_end, far_end.port(), **options)
    monitor.open()
    try:
        monitor.start()
        samples = listen(monitor, far_end, duration_s)
    except BaseException:
        monitor.close()
        raise
    return monitor, samples


def test_power_arrives_on_the_controllers_clock(bridge: Bridge, listen: Listen) -> None:
    monitor, samples = listened(bridge(latency_ms=0.3, jitter_ms=0.2, drift_ppm=300), listen, 1.5)
    monitor.close()
    early, late = samples.between(0, 900_000_000), samples.between(1_100_000_000, 2 * SECOND)
    assert early.power_w == pytest.approx(5.0, abs=0.05)
    assert late.power_w == pytest.approx(10.0, abs=0.05)
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 3e6
    assert samples.voltage_v is not None
    assert samples.voltage_v == pytest.approx(5.0, abs=0.04)
    assert (np.diff(samples.index) == 1).all()
    assert (np.diff(samples.time_ns) > 0).all()


def test_the_spec_tells_the_rate_the_bridge_really_reaches(bridge: Bridge, listen: Listen) -> None:
    monitor, samples = listened(bridge(), listen, 1.0)
    monitor.close()
    spacing_s = float(np.median(np.diff(samples.time_ns))) * 1e-9
    assert monitor.spec.period_s == pytest.approx(spacing_s, rel=0.01)
    assert monitor.spec.shortest_window_s == pytest.approx(25 * monitor.spec.period_s)


def test_the_bus_divisor_buys_rate(bridge: Bridge, listen: Listen) -> None:
    with_each, _ = listened(bridge(), listen, 0.6)
    with_each.close()
    rarely, samples = listened(bridge(), listen, 0.6, bus_divisor=16)
    rarely.close()
    assert rarely.spec.rate_hz > 1.5 * with_each.spec.rate_hz
    assert samples.power_w[-1] == pytest.approx(5.0, abs=0.05)


def test_two_sensors_are_two_channels_whose_powers_add_up(bridge: Bridge, listen: Listen) -> None:
    far_end = bridge(sensor=["ina219@0x40", "ina228@0x45"])
    inputs = (
        BridgeInput(shunt_ohm=0.1, supply_v=5.0, bus_divisor=16),
        BridgeInput(shunt_ohm=0.1, supply_v=5.0, sensor="ina228", address=0x45, name="rail", bus_divisor=16),
    )
    monitor = InaBridge(far_end.port(), *inputs, wait_s=2e-4, clock=far_end.clock)
    monitor.open()
    monitor.start()
    samples = listen(monitor, far_end, 0.9)
    monitor.close()
    assert [channel.name for channel in monitor.spec.channels] == ["supply", "rail"]
    assert (np.diff(samples.time_ns) >= 0).all()
    whole = samples.sum_of(monitor.spec.total)
    assert (np.diff(whole.index) == 1).all()
    assert whole.power_w == pytest.approx(10.0, abs=0.1)  # the emulated shunts stand in one line: each sees it all


def test_an_ina226_with_averaging(bridge: Bridge, listen: Listen) -> None:
    far_end = bridge(sensor="ina226@0x41", shunt_ohm=0.02)
    settings = {"sensor": "ina226", "address": 0x41, "shunt_ohm": 0.02, "conversion_s": 588e-6, "averages": 4}
    monitor, samples = listened(far_end, listen, 1.5, **settings)
    monitor.close()
    assert len(samples) > 200
    assert monitor.spec.aperture_s == pytest.approx(2.352e-3)
    assert monitor.spec.period_s == pytest.approx(4.704e-3, rel=0.01)
    assert samples.between(0, 900_000_000).power_w == pytest.approx(5.0, rel=1e-3)


def test_ticks_wrap_unnoticed(bridge: Bridge, listen: Listen) -> None:
    far_end = bridge(clock_offset_s=2**32 * 4e-6 - 0.5)
    monitor, samples = listened(far_end, listen, 1.0)
    monitor.close()
    assert len(samples) > 1500
    assert np.diff(samples.time_ns).max() < 1e6


def test_it_starts_again_from_zero(bridge: Bridge, listen: Listen) -> None:
    far_end = bridge()
    monitor, _ = listened(far_end, listen, 0.5)
    far_end.walks = True
    monitor.stop()
    monitor.start()
    again = listen(monitor, far_end, 0.5)
    monitor.close()
    assert again.index[0] < 100
    assert again.time_ns[0] > 0.5 * SECOND


def test_a_stream_left_running_by_a_killed_process_is_ended(bridge: Bridge, listen: Listen) -> None:
    far_end = bridge()
    path = far_end.port()
    killed = driver(far_end, path)
    killed.open()
    killed.start()
    far_end.advance(50_000_000)
    killed.close()
    heir = driver(far_end, path)
    heir.open()
    heir.start()
    samples = listen(heir, far_end, 0.5)
    heir.close()
    assert samples.index[0] < 100
    assert (np.diff(samples.index) == 1).all()


def test_a_busy_port_is_named(bridge: Bridge) -> None:
    far_end = bridge()
    path = far_end.port()
    first, second = driver(far_end, path), driver(far_end, path)
    first.open()
    with pytest.raises(PortBusy, match=path):
        second.open()
    second.close()
    first.close()
    first.close()


@pytest.mark.parametrize("fault", ["gap@+0.7:0.004", "drop@+0.7:2", "corrupt@+0.7:1"])
def test_lost_samples_stay_gaps_in_the_index(bridge: Bridge, listen: Listen, fault: str) -> None:
    monitor, samples = listened(bridge(fault=fault), listen, 1.5)
    monitor.close()
    steps = np.diff(samples.index)
    assert (steps > 1).sum() == 1
    # Time goes on over the gap as the index does.
    assert np.diff(samples.time_ns) / steps == pytest.approx(monitor.spec.period_s * 1e9, rel=0.02)
    at_ns = int(samples.time_ns[np.argmax(steps > 1)])
    energy = cut(samples, at_ns - SECOND // 4, at_ns + SECOND // 4, monitor.spec)
    assert energy.present < 1.0
    with pytest.raises(TraceIncomplete):
        cut(samples, at_ns - SECOND // 200, at_ns + SECOND // 200, monitor.spec)


def test_litter_between_frames_costs_nothing_but_itself(bridge: Bridge, listen: Listen) -> None:
    monitor, samples = listened(bridge(fault="litter@+0.7:40"), listen, 1.2)
    monitor.close()
    assert (samples.power_w < 10.5).all()
    assert np.diff(samples.index).max() <= 150


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("nack@+0.3", SensorFault, "0x40"),
        ("restart@+0.3", BridgeRestarted, "restarted"),
        ("unplug@+0.3", MonitorGone, "gone"),
    ],
)
def test_what_happens_at_the_bridge_is_told(
    bridge: Bridge, listen: Listen, fault: str, error: type[PowerError], words: str
) -> None:
    with pytest.raises(error, match=words):
        listened(bridge(fault=fault), listen, 1.0)


def test_a_restart_heals_by_opening_again(bridge: Bridge, listen: Listen) -> None:
    far_end = bridge(fault="restart@+0.3")
    path = far_end.port()
    monitor = driver(far_end, path)
    monitor.open()
    monitor.start()
    with pytest.raises(BridgeRestarted):
        listen(monitor, far_end, 1.0)
    monitor.close()
    far_end.walks = True
    monitor.open()
    monitor.start()
    assert len(listen(monitor, far_end, 0.5)) > 100
    monitor.close()


def test_an_absent_sensor_is_named(bridge: Bridge) -> None:
    far_end = bridge()
    monitor = driver(far_end, far_end.port(), address=0x45)
    with pytest.raises(SensorFault, match="0x45"):
        monitor.open()
    monitor.close()


def test_the_wrong_sensor_is_found_by_its_register(bridge: Bridge) -> None:
    far_end = bridge(sensor="ina226@0x40")
    monitor = driver(far_end, far_end.port())
    with pytest.raises(SensorFault, match="reads back"):
        monitor.open()
    monitor.close()


class Script:
    """A far end written by hand: answers command by command, in the time that the clock lets pass."""

    def __init__(self, answers: dict[int, list[tuple[int, bytes]]]) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        os.set_blocking(self.master, False)
        self._answers = answers
        self.now_ns = 0

    @staticmethod
    def frame(kind: int, sequence: int, payload: bytes) -> bytes:
        body = bytes((kind, sequence, len(payload))) + payload
        return b"\xa5" + body + struct.pack("<H", binascii.crc_hqx(body, 0))

    def clock(self) -> int:
        self.now_ns += 10_000_000
        try:
            commands = os.read(self.master, 4096)
        except BlockingIOError:
            return self.now_ns
        kind, sequence = commands[1], commands[2]
        for answer_kind, payload in self._answers.get(kind, []):
            os.write(self.master, self.frame(answer_kind, sequence, payload))
        return self.now_ns

    def close(self) -> None:
        os.close(self.master)
        os.close(self._slave)


IDENTITY = struct.pack("<BBBIH8s", 2, 1, 0, 250_000, 1, b"HAND")
POLITE: dict[int, list[tuple[int, bytes]]] = {
    0x01: [(0x81, IDENTITY)],
    0x02: [(0x82, bytes.fromhex("40 19 0738 0738 0000 01 2f00 00"))],
    0x03: [(0x83, b"")],
    0x04: [(0x84, b"")],
}


@pytest.fixture
def script() -> Iterator[Callable[[dict[int, list[tuple[int, bytes]]]], Script]]:
    scripts: list[Script] = []

    def make(answers: dict[int, list[tuple[int, bytes]]]) -> Script:
        scripts.append(Script({**POLITE, **answers}))
        return scripts[-1]

    yield make
    for each in scripts:
        each.close()


def of_script(script: Script) -> InaBridge:
    return InaBridge(script.path, BridgeInput(shunt_ohm=0.1, supply_v=5.0), wait_s=2e-3, clock=script.clock)


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ({0x01: [(0x81, b"\x01" + IDENTITY[1:])]}, WrongDevice, "protocol version 1"),
        ({0x01: [(0x81, IDENTITY[:-1])]}, WrongDevice, "no INA bridge"),
        ({0x01: [], 0x04: []}, WrongDevice, "right port"),
        ({0x02: [(0xEE, b"\x04\x40")]}, SensorFault, "0x40"),
        ({0x02: [(0xEE, b"\x05\x40")]}, SensorFault, "bus is stuck"),
        ({0x02: [(0xEE, b"\x01\x02")]}, WrongDevice, "flash"),
    ],
)
def test_a_bridge_that_is_not_right_is_refused_at_open(
    script: Callable[..., Script], answers: dict[int, list[tuple[int, bytes]]], error: type[PowerError], words: str
) -> None:
    monitor = of_script(script(answers))
    with pytest.raises(error, match=words):
        monitor.open()
    monitor.close()


def test_a_bridge_that_falls_silent_is_noticed(script: Callable[..., Script]) -> None:
    far_end = script({})
    monitor = of_script(far_end)
    monitor.open()
    monitor.start()
    far_end.now_ns += 2 * SECOND
    with pytest.raises(MonitorSilent, match="no sample for 2"):
        monitor.read()
    monitor.close()


def test_a_monitor_that_was_not_opened_says_so() -> None:
    monitor = InaBridge("/dev/ttyNONE7", BridgeInput(shunt_ohm=0.1, supply_v=5.0))
    with pytest.raises(MonitorSilent, match="not open"):
        monitor.read()
    with pytest.raises(MonitorSilent, match="clock"):
        _ = monitor.clock


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sensor": "ina3221"}, "ina219, ina226, ina228"),
        ({"address": 0x50}, "0x40 to 0x4F"),
        ({"bus_divisor": 0}, "255"),
    ],
)
def test_an_input_the_bridge_cannot_have_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BridgeInput(shunt_ohm=0.1, supply_v=5.0, **settings)  # type: ignore[arg-type]


def test_two_sensors_at_one_address_are_refused() -> None:
    twice = BridgeInput(shunt_ohm=0.1, supply_v=5.0)
    with pytest.raises(ValueError, match="address of its own"):
        InaBridge("/dev/ttyNONE7", twice, twice)


def test_a_current_beyond_the_range_is_lost_and_not_cut_off(bridge: Bridge, listen: Listen) -> None:
    # 10 W from 5 V; the range ends at 160 mV, 8 W.
    _, samples = listened(bridge(), listen, 1.2, range_v=0.16)
    assert len(samples) > 100
    assert samples.power_w.max() < 5.5


def test_a_current_that_stays_beyond_the_range_is_told(bridge: Bridge, listen: Listen) -> None:
    with pytest.raises(SensorFault, match=r"160 mV range.*smaller shunt"):
        listened(bridge(), listen, 3.0, range_v=0.16)
