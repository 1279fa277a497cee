"""The USB Monsoon's driver against an emulated device behind pyusb's own backend interface."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.waveform import Segment, Waveform
from power import (
    MonitorGone,
    MonitorSilent,
    MonsoonHvpm,
    MonsoonInput,
    OutputTripped,
    PortBusy,
    PortMissing,
    PowerError,
    Samples,
    SensorFault,
    WrongDevice,
    cut,
)
from power.monsoon_usb_model import LVPM_REV_E
from testbed.virtual.meters import monsoon_usb_analog as analog
from testbed.virtual.meters.monsoon_usb import Bus
from testbed.virtual.supply import SupplyReader

SECOND = 1_000_000_000
Plug = Callable[..., Bus]


@pytest.fixture
def plug(supply: Path) -> Iterator[Plug]:
    """A bus with an HVPM whose main feeds a board of 5 W for a second of its world, then 10 W."""
    with SupplyReader(supply) as reader:

        def plug(*faults: str, product: analog.Product | None = None, output: str = "main", **options: object) -> Bus:
            instrument = analog.UsbInstrument(product or analog.hvpm(3), reader, output, 0.0, 0.0, seed=3)
            return Bus(reader, instrument, faults=faults, seed=3, **options)  # type: ignore[arg-type]

        yield plug


def driver(bus: Bus, *inputs: MonsoonInput, **options: object) -> MonsoonHvpm:
    return MonsoonHvpm(inputs or [MonsoonInput("main", 5.1)], clock=bus.clock, backend=bus, **options)  # type: ignore[arg-type]


def listened(bus: Bus, monitor: MonsoonHvpm, until_s: float) -> Samples:
    """Everything from a fresh start until the world's clock shows so much."""
    monitor.open()
    try:
        monitor.start()
        parts = []
        while bus.now_ns < until_s * SECOND:
            parts.append(monitor.read())
    except BaseException:
        monitor.close()
        raise
    return Samples.concatenate(parts)


def test_power_arrives_on_the_controllers_clock(plug: Plug) -> None:
    bus = plug(drift_ppm=30)
    monitor = driver(bus)
    samples = listened(bus, monitor, 1.6)
    monitor.stop()
    monitor.close()
    early, late = samples.between(0, 990_000_000), samples.between(1_010_000_000, 2 * SECOND)
    assert early.power_w == pytest.approx(5.0, abs=0.01)
    assert late.power_w == pytest.approx(10.0, abs=0.01)
    assert samples.voltage_v == pytest.approx(5.1, abs=3e-4)
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 8e5
    steps = np.diff(samples.index)
    assert np.diff(samples.time_ns) == pytest.approx(steps * 200_000.0, rel=2e-3)
    # Calibrations take six records' time, every 1.25 s.
    assert set(steps.tolist()) == {1, 7}
    assert (steps == 7).sum() == 1


def test_the_energy_of_a_step_is_right(plug: Plug) -> None:
    bus = plug()
    monitor = driver(bus)
    samples = listened(bus, monitor, 1.6)
    monitor.close()
    energy = cut(samples, SECOND - SECOND // 4, SECOND + SECOND // 4, monitor.spec)
    assert energy.energy_j == pytest.approx(3.75, abs=0.01)


@pytest.mark.parametrize("records", [1, 5, 40, 400])
def test_dropped_records_are_a_gap_of_their_own_length(plug: Plug, records: int) -> None:
    bus = plug(f"drop@+0.5:{records}")
    monitor = driver(bus)
    samples = listened(bus, monitor, 1.2)
    monitor.close()
    steps = np.diff(samples.index)
    assert steps[steps > 1].tolist() == [records + 1]
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 8e5


def test_a_reader_that_is_away_loses_samples_and_not_the_time(plug: Plug) -> None:
    bus = plug()
    monitor = driver(bus)
    before = listened(bus, monitor, 0.6)
    bus.advance(50_000_000)
    parts = [before]
    while bus.now_ns < 1.2 * SECOND:
        parts.append(monitor.read())
    monitor.close()
    samples = Samples.concatenate(parts)
    steps = np.diff(samples.index)
    assert 200 < steps.max() <= 251, "50 ms less the 16 records that the device holds"
    step_ns = int(samples.time_ns[np.argmax(samples.power_w > 7.5)])
    assert abs(step_ns - SECOND) < 8e5


def test_fine_readings_show_a_sleeping_board(tmp_path: Path) -> None:
    Waveform([Segment(10.0, 0.0051, 0.0051)]).write(tmp_path / "asleep")
    reader = SupplyReader(tmp_path / "asleep")
    bus = Bus(reader, analog.UsbInstrument(analog.hvpm(3), reader, "main", 0.0, 0.0, seed=3))
    monitor = driver(bus)
    samples = listened(bus, monitor, 0.6)
    monitor.close()
    reader.close()
    assert samples.current_a == pytest.approx(1e-3, abs=3e-6)


def test_a_current_beyond_the_scale_is_lost_and_not_cut_off(tmp_path: Path) -> None:
    # The coarse scale ends near 16 A: 80 W from 5 V.
    Waveform([Segment(0.5, 60.0, 60.0), Segment(0.05, 95.0, 95.0), Segment(9.0, 60.0, 60.0)]).write(tmp_path / "high")
    with SupplyReader(tmp_path / "high") as reader:
        bus = Bus(reader, analog.UsbInstrument(analog.hvpm(3), reader, "main", 0.0, 0.0, seed=3))
        monitor = driver(bus, MonsoonInput("main", 5.0))
        samples = listened(bus, monitor, 0.9)
        monitor.close()
    assert (np.abs(samples.power_w - 60.0) > 1.2).sum() <= 2, "samples that an edge of the load cuts"
    assert 248 <= int(np.diff(samples.index).max()) - 1 <= 252


def test_usb_measures_its_own_voltage_and_aux_takes_it_declared(plug: Plug) -> None:
    bus = plug(output="usb")
    monitor = driver(bus, MonsoonInput("usb", 5.0), MonsoonInput("aux", 12.0, counts=False))
    samples = listened(bus, monitor, 0.6)
    monitor.close()
    usb, aux = samples.of_channel(0), samples.of_channel(1)
    assert usb.voltage_v == pytest.approx(5.0, abs=2e-4)
    assert usb.power_w == pytest.approx(5.0, abs=0.02)
    assert aux.voltage_v == pytest.approx(12.0)
    assert aux.current_a == pytest.approx(0.0, abs=2e-6)
    assert monitor.spec.whole.name == "usb"


def test_an_lvpm_of_revision_e_speaks_the_same(plug: Plug) -> None:
    bus = plug(product=analog.lvpm(5))
    monitor = driver(bus, MonsoonInput("main", 4.2), model=LVPM_REV_E)
    samples = listened(bus, monitor, 0.6)
    monitor.close()
    assert samples.voltage_v == pytest.approx(4.2, abs=2e-4)
    assert samples.power_w == pytest.approx(5.0, abs=0.01)


def test_another_model_than_asked_for_is_refused(plug: Plug) -> None:
    with pytest.raises(WrongDevice, match="is no HVPM but an LVPM rev E"):
        driver(plug(product=analog.lvpm(5))).open()


def test_the_monitor_of_a_serial_number_is_taken(plug: Plug) -> None:
    bus = plug(serial_number=20_017)
    monitor = driver(bus, serial_number=20_017)
    monitor.open()
    monitor.close()
    with pytest.raises(WrongDevice, match="no Monsoon of serial number 1 .*there is 20017"):
        driver(bus, serial_number=1).open()


def test_a_stream_left_running_by_a_killed_process_is_ended(plug: Plug) -> None:
    bus = plug()
    killed = driver(bus)
    killed.open()
    killed.start()
    bus.advance(50_000_000)
    killed.close()
    heir = driver(bus)
    samples = listened(bus, heir, 0.8)
    heir.close()
    assert samples.power_w == pytest.approx(5.0, abs=0.01)


def test_main_is_switched_off_on_request_alone(plug: Plug) -> None:
    bus = plug()
    monitor = driver(bus)
    listened(bus, monitor, 0.4)
    monitor.close()
    reader = driver(bus, MonsoonInput("aux", 5.0))
    reader.open()
    assert bus.board_v == pytest.approx(5.1)
    reader.switch_off()
    assert bus.board_v == 0.0
    reader.close()


def test_a_stall_is_cleared(plug: Plug) -> None:
    bus = plug("stall@+0.4:2")
    monitor = driver(bus)
    samples = listened(bus, monitor, 0.8)
    monitor.close()
    assert int(samples.time_ns[-1]) > 0.75 * SECOND


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("unplug@+0.4", MonitorGone, "plug it in again"),
        ("trip@+0.4", OutputTripped, "over-current"),
        ("stall@+0.4:9", MonitorSilent, "stalls"),
        ("drop@+0.4:100000", MonitorSilent, r"sent nothing for 1\.0"),
    ],
)
def test_what_happens_at_the_meter_is_told(plug: Plug, fault: str, error: type[PowerError], words: str) -> None:
    bus = plug(fault)
    monitor = driver(bus)
    with pytest.raises(error, match=words):
        listened(bus, monitor, 2.0)
    monitor.close()


def test_a_device_in_use_is_busy(plug: Plug) -> None:
    bus = plug()
    first = driver(bus)
    first.open()
    with pytest.raises(PortBusy, match="another process"):
        driver(bus).open()
    first.close()


def test_a_missing_permission_names_the_rule_that_ships(plug: Plug) -> None:
    with pytest.raises(PortMissing, match="udev") as caught:
        driver(plug(permitted=False)).open()
    (rule,) = (word for word in str(caught.value).split() if word.endswith(".rules"))
    text = (Path(__file__).parents[2] / rule).read_text(encoding="utf-8")
    assert 'ATTRS{idVendor}=="2ab9"' in text
    assert 'ATTRS{idProduct}=="0001"' in text


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usb.core", None)
    with pytest.raises(PortMissing, match=r"pip install 'edge-energy-testbed\[hvpm\]'"):
        MonsoonHvpm([MonsoonInput("main", 5.1)]).open()


def test_a_computer_without_a_monsoon_or_without_libusb_is_told_so() -> None:
    with pytest.raises((PortMissing, WrongDevice), match=r"apt-get install libusb|no Monsoon of serial number 1 "):
        MonsoonHvpm([MonsoonInput("main", 5.1)], serial_number=1).open()


def test_no_monsoon_on_the_bus_is_told(plug: Plug) -> None:
    bus = plug("unplug@0")
    bus.advance(1)
    with pytest.raises(WrongDevice, match="plugged in"):
        driver(bus).open()


def test_a_wild_voltage_calibration_feeds_no_board(plug: Plug) -> None:
    product = analog.hvpm(3)
    product.memory[0x89] = 0xD123
    bus = plug(product=product)
    monitor = driver(bus)
    with pytest.raises(SensorFault, match="DAC_HIGH is 0xd123"):
        monitor.open()
    monitor.close()
    assert bus.board_v == 0.0


@pytest.mark.parametrize(
    ("inputs", "options", "words"),
    [
        ([MonsoonInput("main", 15.0)], {}, r"0\.8 to 13\.5 V, not 15 V"),
        ([MonsoonInput("main", 5.0)], {"model": LVPM_REV_E}, r"2\.01 to 4\.55 V"),
        ([MonsoonInput("main", 5.0)], {"run_time_limit_a": 16.0}, "0 to 15 A"),
    ],
)
def test_settings_the_device_lacks_are_refused(
    inputs: list[MonsoonInput], options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        MonsoonHvpm(inputs, **options)  # type: ignore[arg-type]


def test_a_monitor_that_was_not_opened_says_so() -> None:
    monitor = MonsoonHvpm([MonsoonInput("main", 5.0)])
    with pytest.raises(MonitorSilent, match="not open"):
        monitor.read()
    with pytest.raises(MonitorSilent, match="clock"):
        _ = monitor.clock
