from __future__ import annotations

import os
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.far_end import FarEnd, Nursery
from bench.waveform import Segment, Waveform
from power import (
    MonitorGone,
    MonitorSilent,
    MonsoonLvpm,
    OutputTripped,
    PortBusy,
    PowerError,
    Samples,
    WrongDevice,
    cut,
)
from power.monsoon_lvpm import WIRE_LATENCY_STANDARD_UNCERTAINTY_S

Listen = Callable[[MonsoonLvpm, FarEnd, float], Samples]
Meter = Callable[..., FarEnd]
SECOND = 1_000_000_000


@pytest.fixture
def meter(nursery: Nursery, supply: Path) -> Iterator[Meter]:
    ends: list[FarEnd] = []

    def make(**options: object) -> FarEnd:
        named = {name.replace("_", "-"): value for name, value in options.items()}
        feeding = {"output": "aux", "output-voltage": 15.0, "latency-ms": 0.5, "jitter-ms": 0.3, "supply": supply}
        ends.append(nursery.meter("monsoon", {**feeding, **named}))
        return ends[-1]

    yield make
    for end in ends:
        end.__exit__(None, None, None)


def driver(far_end: FarEnd, path: str, **options: object) -> MonsoonLvpm:
    settings: dict[str, object] = {
        "channel": "aux",
        "supply_v": 15.0,
        "wait_s": 2e-4,
        "clock": far_end.clock,
        "sleep": lambda pause_s: far_end.advance(round(pause_s * 1e9)),
    }
    return MonsoonLvpm(path, **{**settings, **options})  # type: ignore[arg-type]


def listened(far_end: FarEnd, listen: Listen, duration_s: float, **options: object) -> tuple[MonsoonLvpm, Samples]:
    monitor = driver(far_end, far_end.port(), **options)
    monitor.open()
    try:
        monitor.start()
        samples = listen(monitor, far_end, duration_s)
    except BaseException:
        monitor.close()
        raise
    return monitor, samples


def test_power_arrives_on_the_controllers_clock(meter: Meter, listen: Listen) -> None:
    monitor, samples = listened(meter(drift_ppm=30, phase=0.5), listen, 1.5)
    monitor.close()
    early, late = samples.between(0, 990_000_000), samples.between(1_010_000_000, 2 * SECOND)
    assert early.power_w == pytest.approx(5.0, abs=0.05)
    assert late.power_w == pytest.approx(10.0, abs=0.05)
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 1e6
    assert (np.diff(samples.index) == 1).all()
    assert np.diff(samples.time_ns) == pytest.approx(200_000, abs=200)


def test_main_is_ramped_to_its_voltage_and_measured(meter: Meter, listen: Listen) -> None:
    far_end = meter(output="main", output_voltage=3.3)
    monitor, samples = listened(far_end, listen, 0.6, channel="main", supply_v=4.2)
    assert samples.voltage_v is not None
    assert samples.voltage_v == pytest.approx(4.2, abs=1e-3)
    assert samples.power_w[-1] == pytest.approx(10.0, rel=5e-3)
    assert samples.mark is not None
    monitor.stop()
    far_end.walks = True
    status = monitor.status()
    assert status.output_setting_v == pytest.approx(4.2)
    assert far_end.now_ns > 0.9 * SECOND
    monitor.close()


def test_usb_is_connected_while_sampling(meter: Meter, listen: Listen) -> None:
    far_end = meter(output="usb", output_voltage=5.0)
    monitor, samples = listened(far_end, listen, 0.6, channel="usb", supply_v=5.0)
    monitor.close()
    assert samples.power_w == pytest.approx(5.0, abs=0.05)


def test_a_declared_voltage_brings_its_uncertainty() -> None:
    declared = MonsoonLvpm(
        "/dev/ttyNONE7",
        channel="aux",
        supply_v=15.0,
        gain_standard_uncertainty=3e-3,
        supply_standard_uncertainty=4e-3,
    )
    measured = MonsoonLvpm("/dev/ttyNONE7", supply_v=4.0, gain_standard_uncertainty=3e-3)
    assert declared.spec.whole.gain_standard_uncertainty == pytest.approx(5e-3)
    assert measured.spec.whole.gain_standard_uncertainty == pytest.approx(3e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channel": "main", "supply_v": 12.0}, r"2\.01 to 4\.55 V"),
        ({"channel": "battery", "supply_v": 4.0}, "main, usb, aux"),
        ({"supply_v": 4.0, "run_time_limit_a": 9.0}, "9 A"),
    ],
)
def test_settings_the_device_lacks_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MonsoonLvpm("/dev/ttyNONE7", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["gap@+0.6:0.01", "drop@+0.6:5", "corrupt@+0.6:1", "gap@+0.6:0.2"])
def test_lost_samples_stay_gaps_and_time_goes_on(meter: Meter, listen: Listen, fault: str) -> None:
    monitor, samples = listened(meter(fault=fault, phase=0.5), listen, 2.0)
    monitor.close()
    steps = np.diff(samples.index)
    assert 1 <= (steps > 1).sum() <= 2
    assert np.diff(samples.time_ns) == pytest.approx(steps * 200_000.0, rel=2e-3)
    # What came after the loss has its place by arrival alone: the step of the load shows it.
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 1.5e6


def test_a_stalled_reader_does_not_move_the_clock(meter: Meter, listen: Listen) -> None:
    far_end = meter(phase=0.5)
    monitor, before = listened(far_end, listen, 0.6)
    far_end.advance(60_000_000)
    samples = Samples.concatenate([before, listen(monitor, far_end, 1.0)])
    monitor.close()
    # After so long nobody knows whether samples were lost: arrivals tell, as well as the wire's latency is known.
    lost = int(np.sum(np.diff(samples.index) - 1))
    assert lost * 200e-6 <= 2 * WIRE_LATENCY_STANDARD_UNCERTAINTY_S
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 1e6


def test_a_stream_left_running_by_a_killed_process_is_ended(meter: Meter, listen: Listen) -> None:
    far_end = meter()
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
    assert samples.index[0] == 0
    assert samples.power_w == pytest.approx(5.0, abs=0.05)


def test_only_valid_samples_come_first(meter: Meter, listen: Listen) -> None:
    far_end = meter()
    monitor, _ = listened(far_end, listen, 0.4)
    far_end.walks = True
    monitor.stop()
    # The meter begins with two stale packets of the run before.
    monitor.start()
    samples = listen(monitor, far_end, 0.5)
    monitor.close()
    assert samples.index[0] == 0
    assert (np.diff(samples.index) == 1).all()
    assert samples.between(0, 990_000_000).power_w == pytest.approx(5.0, abs=0.05)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [("unplug@+0.3", MonitorGone, "gone"), ("trip@+0.3", OutputTripped, "over-current")],
)
def test_what_happens_at_the_meter_is_told(
    meter: Meter, listen: Listen, fault: str, error: type[PowerError], words: str
) -> None:
    with pytest.raises(error, match=words):
        listened(meter(fault=fault), listen, 1.0)


def test_a_busy_port_is_named(meter: Meter) -> None:
    far_end = meter()
    path = far_end.port()
    first, second = driver(far_end, path), driver(far_end, path)
    first.open()
    with pytest.raises(PortBusy, match=path):
        second.open()
    first.close()
    first.close()


@pytest.fixture
def mute() -> Iterator[str]:
    """A serial line with nobody at its far end."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_a_port_without_a_monsoon_is_refused(mute: str) -> None:
    now_ns = iter(range(0, 100 * SECOND, 20_000_000))
    monitor = MonsoonLvpm(mute, supply_v=4.0, wait_s=0.0, clock=lambda: next(now_ns))
    with pytest.raises(WrongDevice, match="right port"):
        monitor.open()
    monitor.close()


def test_a_meter_that_falls_silent_is_noticed(meter: Meter, listen: Listen) -> None:
    with pytest.raises(MonitorSilent, match=r"sent nothing for 1\.0"):
        listened(meter(fault="drop@+0.4:100000"), listen, 2.0)


def test_a_monitor_that_was_not_opened_says_so() -> None:
    monitor = MonsoonLvpm("/dev/ttyNONE7", supply_v=4.0)
    with pytest.raises(MonitorSilent, match="not open"):
        monitor.read()
    with pytest.raises(MonitorSilent, match="clock"):
        _ = monitor.clock


def test_energy_of_a_step_is_right(meter: Meter, listen: Listen) -> None:
    monitor, samples = listened(meter(), listen, 1.6)
    monitor.close()
    energy = cut(samples, SECOND - SECOND // 4, SECOND + SECOND // 4, monitor.spec, clock_uncertainty_s=5e-4)
    assert energy.energy_j == pytest.approx(3.75, abs=0.02)
    assert energy.budget_j["clock"] == pytest.approx(5e-4 * 5.0, rel=0.1)


def test_a_current_beyond_the_scale_is_lost_and_not_cut_off(nursery: Nursery, tmp_path: Path, listen: Listen) -> None:
    # The coarse scale of 143 uA a count ends near 4.7 A: 70 W from 15 V.
    path = tmp_path / "high"
    Waveform([Segment(1.0, 60.0, 60.0), Segment(0.05, 90.0, 90.0), Segment(9.0, 60.0, 60.0)]).write(path)
    with nursery.meter("monsoon", {"supply": path, "output": "aux", "output-voltage": 15.0}) as far_end:
        monitor, samples = listened(far_end, listen, 2.0)
        monitor.close()
    assert samples.power_w == pytest.approx(60.0, rel=0.02)
    assert 240 <= int(np.diff(samples.index).max()) - 1 <= 252
