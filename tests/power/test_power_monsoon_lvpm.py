from __future__ import annotations

import contextlib
import os
import subprocess
import sys
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
    MonsoonInput,
    MonsoonLvpm,
    OutputTripped,
    PortBusy,
    PowerError,
    Samples,
    WrongDevice,
    cut,
)
from power.monsoon_link import MonsoonLink, find
from power.monsoon_lvpm import WIRE_LATENCY_STANDARD_UNCERTAINTY_S
from power.monsoon_ports import PortLock, candidates

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
    named = {"name": options.pop("channel", "aux"), "supply_v": options.pop("supply_v", 15.0)}
    inputs = options.pop("inputs", None) or [MonsoonInput(**named)]  # type: ignore[arg-type]
    settings: dict[str, object] = {
        "wait_s": 2e-4,
        "clock": far_end.clock,
        "sleep": lambda pause_s: far_end.advance(round(pause_s * 1e9)),
    }
    return MonsoonLvpm(path, inputs, **{**settings, **options})  # type: ignore[arg-type]


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


def test_several_channels_come_side_by_side(meter: Meter, listen: Listen) -> None:
    far_end = meter(output="aux", output_voltage=15.0)
    inputs = [MonsoonInput("aux", 15.0), MonsoonInput("main", 3.1, counts=False)]
    monitor, samples = listened(far_end, listen, 1.4, inputs=inputs)
    monitor.close()
    assert [channel.name for channel in monitor.spec.channels] == ["aux", "main"]
    assert monitor.spec.whole.name == "aux"
    aux, main = samples.of_channel(0), samples.of_channel(1)
    assert (aux.index == main.index).all()
    assert (aux.time_ns == main.time_ns).all()
    assert aux.between(0, 990_000_000).power_w == pytest.approx(5.0, abs=0.05)
    assert main.voltage_v == pytest.approx(3.1, abs=1e-3)
    assert main.current_a == pytest.approx(0.0, abs=1e-5)
    both = cut(samples, SECOND - SECOND // 4, SECOND + SECOND // 4, monitor.spec)
    assert both.energy_j == pytest.approx(3.75, abs=0.02)


def test_channels_that_count_add_up(meter: Meter, listen: Listen) -> None:
    far_end = meter(output="usb", output_voltage=5.0)
    monitor, samples = listened(far_end, listen, 0.6, inputs=[MonsoonInput("usb", 5.0), MonsoonInput("aux", 15.0)])
    monitor.close()
    assert monitor.spec.whole.name == "usb+aux"
    assert samples.sum_of(monitor.spec.total).power_w == pytest.approx(5.0, abs=0.05)


def test_usb_passthrough_is_waited_for(meter: Meter) -> None:
    far_end = meter(output="usb", output_voltage=5.0, passthrough_delay_s=2.5)
    monitor = driver(far_end, far_end.port(), channel="usb", supply_v=5.0)
    monitor.open()
    assert monitor.status().passthrough == 1
    assert 2.5 * SECOND < far_end.now_ns < 5 * SECOND
    monitor.close()


def test_usb_passthrough_is_not_waited_for_in_vain(meter: Meter) -> None:
    far_end = meter(output="usb", output_voltage=5.0, passthrough_delay_s=1e4)
    monitor = driver(far_end, far_end.port(), channel="usb", supply_v=5.0)
    with pytest.raises(MonitorSilent, match="passthrough is not on after 60 s"):
        monitor.open()
    monitor.close()


def test_main_is_switched_off_on_request_alone(meter: Meter) -> None:
    far_end = meter(output="main", output_voltage=4.0)
    path = far_end.port()
    monitor = driver(far_end, path, channel="main", supply_v=4.0)
    monitor.open()
    monitor.close()
    monitor.open()
    assert monitor.status().main_voltage_v == pytest.approx(4.0)
    monitor.switch_off()
    assert monitor.status().main_voltage_v == 0.0
    monitor.close()


def test_current_limits_are_set(meter: Meter) -> None:
    far_end = meter(output="main", output_voltage=4.0)
    monitor = driver(far_end, far_end.port(), channel="main", supply_v=4.0, power_up_limit_a=3.0, run_time_limit_a=1.0)
    monitor.open()
    status = monitor.status()
    assert (status.power_up_limit_a, status.run_time_limit_a) == pytest.approx((3.0, 1.0), abs=8e-3)
    monitor.close()


def test_the_monitor_of_a_serial_number_is_found(meter: Meter, mute: str) -> None:
    world = meter(serial_number=111)
    ports = [world.port(), mute]
    pause_s: list[float] = []

    def reach(path: str) -> MonsoonLink:
        return MonsoonLink(path, 2e-4, world.clock)

    with contextlib.closing(find(ports[::-1], None, reach)) as found:
        assert found.found.serial_number == 111
    with contextlib.closing(find(ports, 111, reach)) as found:
        assert found.port == ports[0]
    with pytest.raises(WrongDevice, match=r"222 was not found: .* of serial number 111; .*no Monsoon LVPM"):
        find(ports, 222, reach, pause_s.append)
    assert pause_s == [1.0]


def test_a_bench_without_a_serial_port_is_told_so(tmp_path: Path) -> None:
    assert candidates(tmp_path)[-1:] == candidates()[-1:]
    for name in ("ttyACM1", "ttyACM0", "ttyS0"):
        (tmp_path / name).touch()
    assert candidates(tmp_path)[-2:] == [str(tmp_path / "ttyACM0"), str(tmp_path / "ttyACM1")]
    with pytest.raises(WrongDevice, match="no serial port"):
        find([], None, lambda path: pytest.fail(path), sleep=lambda pause_s: None)


@pytest.mark.parametrize("lock", ["flock", "lockf"])
def test_a_port_that_a_tool_of_the_field_has_locked_is_busy(meter: Meter, lock: str) -> None:
    far_end = meter()
    path = far_end.port()
    with PortLock(path) as ours:
        held = ours.path
    code = (
        f"import fcntl, sys; f = open({str(held)!r}, 'r+'); fcntl.{lock}(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    )
    tool = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert tool.stdout is not None
    tool.stdout.readline()
    try:
        with pytest.raises(PortBusy, match=str(held)):
            driver(far_end, path).open()
    finally:
        tool.communicate(b"\n")
    monitor = driver(far_end, path)
    monitor.open()
    monitor.close()


def test_usb_is_connected_while_sampling(meter: Meter, listen: Listen) -> None:
    far_end = meter(output="usb", output_voltage=5.0)
    monitor, samples = listened(far_end, listen, 0.6, channel="usb", supply_v=5.0)
    monitor.close()
    assert samples.power_w == pytest.approx(5.0, abs=0.05)


def test_a_declared_voltage_brings_its_uncertainty() -> None:
    declared = MonsoonLvpm("/dev/ttyNONE7", [MonsoonInput("aux", 15.0, 4e-3)], gain_standard_uncertainty=3e-3)
    measured = MonsoonLvpm("/dev/ttyNONE7", [MonsoonInput("main", 4.0)], gain_standard_uncertainty=3e-3)
    assert declared.spec.whole.gain_standard_uncertainty == pytest.approx(5e-3)
    assert measured.spec.whole.gain_standard_uncertainty == pytest.approx(3e-3)


@pytest.mark.parametrize(
    ("inputs", "options", "words"),
    [
        ([("main", 12.0)], {}, r"2\.01 to 4\.55 V"),
        ([("battery", 4.0)], {}, "main, usb, aux"),
        ([("main", 4.0)], {"run_time_limit_a": 9.0}, "9 A"),
        ([("aux", 4.0), ("aux", 5.0)], {}, "each once"),
        ([], {}, "one or more"),
    ],
)
def test_settings_the_device_lacks_are_refused(
    inputs: list[tuple[str, float]], options: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        MonsoonLvpm("/dev/ttyNONE7", [MonsoonInput(*one) for one in inputs], **options)  # type: ignore[arg-type]


def test_one_channel_has_to_count() -> None:
    with pytest.raises(ValueError, match="has to count"):
        MonsoonLvpm("/dev/ttyNONE7", [MonsoonInput("aux", 5.0, counts=False)])


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


def test_a_full_port_that_lost_nothing_costs_nothing(meter: Meter, listen: Listen) -> None:
    far_end = meter(phase=0.5)
    monitor, before = listened(far_end, listen, 0.6)
    parts = [before]
    for _ in range(2):
        far_end.advance(150_000_000)
        parts.append(listen(monitor, far_end, 0.1))
    samples = Samples.concatenate([*parts, listen(monitor, far_end, 1.0)])
    monitor.close()
    assert (np.diff(samples.index) == 1).all()
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 1e6


def test_a_loss_that_leaves_no_jump_in_the_sequence_is_found_by_arrivals(meter: Meter, listen: Listen) -> None:
    far_end = meter(phase=0.5, fault="drop@+0.64:48")
    monitor, before = listened(far_end, listen, 0.6)
    far_end.advance(150_000_000)
    samples = Samples.concatenate([before, listen(monitor, far_end, 1.0)])
    monitor.close()
    steps = np.diff(samples.index)
    assert (steps > 1).sum() == 1
    assert steps.max() > 48, "samples, and those around them whose place is not known"
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 1.5e6


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
    monitor = MonsoonLvpm(mute, [MonsoonInput("main", 4.0)], wait_s=0.0, clock=lambda: next(now_ns))
    with pytest.raises(WrongDevice, match="right port"):
        monitor.open()
    monitor.close()


def test_a_meter_that_falls_silent_is_noticed(meter: Meter, listen: Listen) -> None:
    with pytest.raises(MonitorSilent, match=r"sent nothing for 1\.0"):
        listened(meter(fault="drop@+0.4:100000"), listen, 2.0)


def test_a_monitor_that_was_not_opened_says_so() -> None:
    monitor = MonsoonLvpm("/dev/ttyNONE7", [MonsoonInput("main", 4.0)])
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
