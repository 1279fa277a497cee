"""The driver against the real firmware: what it hands out is what the sensors converted, by the emulator's own log."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from bench.far_end import FarEnd
from bench.firmware_end import Event
from power import BridgeInput, BridgeRestarted, InaBridge, MonitorGone, PowerError, Samples, SensorFault

Log = Callable[[], list[Event]]
Emulate = Callable[..., FarEnd]
SUPPLY_V = 5.0
STEPS_NS = 4_400_000, 200_000, 200_000, 200_000, 200_000
"""syncs are asked at the end of the long one, so their answers are seen soon"""
ROUND_TRIP_NS = 400_000
"""of a quick one: what is on the line goes first"""


def an_input(**settings: object) -> BridgeInput:
    return BridgeInput(**{"shunt_ohm": 0.1, "supply_v": SUPPLY_V, **settings})  # type: ignore[arg-type]


def opened(far_end: FarEnd, *inputs: BridgeInput) -> InaBridge:
    monitor = InaBridge(
        far_end.port(), *inputs, wait_s=0.0, clock=lambda: far_end.clock() if far_end.walks else far_end.now_ns
    )
    try:
        monitor.open()
        monitor.start()
    except BaseException:
        monitor.close()
        raise
    far_end.walks = False
    return monitor


def listen(monitor: InaBridge, far_end: FarEnd, duration_s: float) -> Samples:
    parts = []
    for _ in range(round(duration_s * 1e9 / sum(STEPS_NS))):
        for step_ns in STEPS_NS:
            far_end.advance(step_ns)
            parts.append(monitor.read())
    return Samples.concatenate(parts)


def recorded(far_end: FarEnd, duration_s: float, *inputs: BridgeInput) -> tuple[InaBridge, Samples]:
    monitor = opened(far_end, *inputs)
    try:
        return monitor, listen(monitor, far_end, duration_s)
    finally:
        monitor.close()


def conversions(log: list[Event], address: int) -> dict[int, tuple[int, int]]:
    """Of a sensor's shunt, by number: when it ended, and what it came to."""
    where = f"{address:#04x}"
    ours = (event for event in log if event.what[:3] == ("conversion", where, "shunt"))
    return {int(event.what[3]): (event.time_ns, int(event.what[4])) for event in ours}


def reads(log: list[Event], address: int) -> list[int]:
    """Which shunt conversion each reading of the register showed."""
    where = f"{address:#04x}"
    return [int(event.what[3]) for event in log if event.what[:3] == ("read", where, "shunt")]


CASES = {
    "ina219, each with its bus voltage": an_input(),
    "ina219, shunt alone": an_input(bus_divisor=16),
    "ina219, bus voltage every third": an_input(bus_divisor=3),
    "ina219, 12 bits, by the ready flag": an_input(conversion_s=532e-6),
    "ina226": an_input(sensor="ina226"),
    "ina226, averaged, shunt alone, by the flag": an_input(
        sensor="ina226", conversion_s=332e-6, averages=4, bus_divisor=6
    ),
    "ina228": an_input(sensor="ina228", conversion_s=84e-6),
    "ina228, narrow, shunt alone": an_input(sensor="ina228", range_v=0.04096, bus_divisor=8, shunt_ohm=0.02),
}


# Only the INA219's datasheet is of two minds about what clears its ready flag.
@pytest.mark.parametrize(
    ("case", "cleared_by"),
    [(case, by) for case, each in CASES.items() for by in ("power", "bus") if by == "power" or each.sensor == "ina219"],
)
def test_every_sample_is_a_conversion_of_its_own(emulate: Emulate, log: Log, case: str, cleared_by: str) -> None:
    chosen = CASES[case]
    far_end = emulate(
        sensor=f"{chosen.sensor}@0x40",
        shunt_ohm=chosen.shunt_ohm,
        noise_steps=2,
        conversion_error=0.03,
        drift_ppm=400,
        ready_cleared_by=cleared_by,
    )
    monitor, samples = recorded(far_end, 0.8, chosen)
    happened = log()
    converted, read = conversions(happened, 0x40), reads(happened, 0x40)
    assert all(b > a for a, b in pairwise(read)), "no conversion is read twice"
    assert (np.diff(samples.index) == 1).all()
    numbers = [read[index] for index in samples.index.tolist()]
    ended_ns = np.array([converted[number][0] for number in numbers])
    assert samples.current_a is not None
    assert samples.voltage_v is not None
    raw = np.rint(samples.current_a * chosen.shunt_ohm / chosen.chip.shunt_lsb_v)
    assert raw.tolist() == [converted[number][1] for number in numbers]
    assert samples.voltage_v == pytest.approx(SUPPLY_V, abs=0.04)
    late_ns = samples.time_ns - ended_ns
    assert abs(np.median(late_ns)) < ROUND_TRIP_NS / 2, "on average it is where the conversion ended"
    assert np.abs(late_ns).max() < 0.6 * 1.1 * chosen.chip.period_s * 1e9 + ROUND_TRIP_NS
    rate_hz = (len(ended_ns) - 1) * 1e9 / (ended_ns[-1] - ended_ns[0])
    assert monitor.spec.rate_hz == pytest.approx(rate_hz, rel=0.02)


def test_several_sensors_are_read_in_rounds(emulate: Emulate, log: Log) -> None:
    inputs = (
        an_input(bus_divisor=16, name="supply"),
        an_input(sensor="ina226", address=0x41, bus_divisor=16, name="gpu"),
        an_input(sensor="ina228", address=0x44, conversion_s=84e-6, bus_divisor=16, name="cpu"),
    )
    far_end = emulate(sensor=["ina219@0x40", "ina226@0x41", "ina228@0x44"])
    monitor, samples = recorded(far_end, 0.8, *inputs)
    happened = log()
    assert (np.diff(samples.time_ns) >= 0).all()
    for channel, each in enumerate(inputs):
        ours = samples.of_channel(channel)
        converted, read = conversions(happened, each.address), reads(happened, each.address)
        assert all(b > a for a, b in pairwise(read))
        assert ours.current_a is not None
        raw = np.rint(ours.current_a * each.shunt_ohm / each.chip.shunt_lsb_v).tolist()
        assert raw == [converted[read[index]][1] for index in ours.index.tolist()]
        # One round's readings are close together.
        first = samples.of_channel(0)
        common = min(len(first), len(ours))
        assert np.abs(ours.time_ns[:common] - first.time_ns[:common]).max() < 2e6
    whole = samples.sum_of(monitor.spec.total)
    assert (np.diff(whole.index) == 1).all()
    # The ramp of 1 W/s, once for each shunt in the line.
    assert whole.power_w == pytest.approx(3 * (1.0 + whole.time_ns * 1e-9), rel=0.01, abs=0.15)


def test_marks_come_with_their_samples(emulate: Emulate) -> None:
    far_end = emulate(mark=[0.5, 0.52, 0.6], fault="drift@0.3:2000")
    _, samples = recorded(far_end, 0.8, an_input(bus_divisor=16))
    assert samples.mark is not None
    edges = np.flatnonzero(np.diff(samples.mark.astype(int)))
    assert samples.mark[edges + 1].tolist() == [0, 1, 0]
    for edge, at_s in zip(edges, (0.5, 0.52, 0.6), strict=True):
        assert samples.time_ns[edge] - 2 * ROUND_TRIP_NS < at_s * 1e9 < samples.time_ns[edge + 1] + 2 * ROUND_TRIP_NS


def test_a_crystal_that_begins_to_drift_is_followed(emulate: Emulate, log: Log) -> None:
    far_end = emulate(fault="drift@0.8:300")
    _, samples = recorded(far_end, 2.0, an_input(conversion_s=532e-6))
    happened = log()
    converted, read = conversions(happened, 0x40), reads(happened, 0x40)
    late = samples.index > samples.index[-1] - 500
    ended_ns = np.array([converted[read[index]][0] for index in samples.index[late].tolist()])
    assert abs(np.median(samples.time_ns[late] - ended_ns)) < 2 * ROUND_TRIP_NS


def test_beyond_the_range_there_are_no_samples(emulate: Emulate, caplog: pytest.LogCaptureFixture) -> None:
    # 40 mV is 0.4 A and 2 W, which the ramp reaches at 1 s.
    _, samples = recorded(emulate(), 1.3, an_input(range_v=0.04, bus_divisor=16))
    assert 0.99e9 < samples.time_ns[-1] < 1.001e9
    assert "the range of 0x40 overflowed" in caplog.text


@pytest.mark.parametrize("fault", ["lose@0.6:300", "corrupt@0.602:2"])
def test_bytes_lost_or_spoilt_leave_a_gap_and_no_wrong_sample(emulate: Emulate, log: Log, fault: str) -> None:
    _, samples = recorded(emulate(fault=fault, noise_steps=2), 1.2, an_input(bus_divisor=16))
    happened = log()
    converted, read = conversions(happened, 0x40), reads(happened, 0x40)
    steps = np.diff(samples.index)
    assert (steps > 1).sum() in (1, 2)
    assert samples.current_a is not None
    raw = np.rint(samples.current_a * 0.1 / 10e-6).tolist()
    assert raw == [converted[read[index]][1] for index in samples.index.tolist()]


@pytest.mark.parametrize("fault", ["nack@0.5:0.00008", "stuck@0.5"])
def test_a_trouble_on_the_bus_that_passes_costs_no_more_than_its_time(emulate: Emulate, fault: str) -> None:
    _, samples = recorded(emulate(fault=fault), 1.0, an_input(bus_divisor=16))
    assert (np.diff(samples.index) == 1).all()
    assert samples.time_ns[-1] > 0.9e9
    assert np.diff(samples.time_ns).max() < 4e6


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("nack@0.5", SensorFault, "0x40"),
        ("short@0.5", SensorFault, "stuck"),
        ("reset@0.5", BridgeRestarted, "cause 2"),
        ("hang@0.5", BridgeRestarted, "cause 8"),
        ("unplug@0.5", MonitorGone, "gone"),
    ],
)
def test_what_happens_at_the_bridge_is_told(emulate: Emulate, fault: str, error: type[PowerError], words: str) -> None:
    with pytest.raises(error, match=words):
        recorded(emulate(fault=fault), 1.5, an_input(bus_divisor=16))


def test_a_restart_heals_by_opening_again(emulate: Emulate) -> None:
    far_end = emulate(fault="reset@0.5")
    monitor = opened(far_end, an_input())
    with pytest.raises(BridgeRestarted):
        listen(monitor, far_end, 1.0)
    monitor.close()
    far_end.walks = True
    monitor.open()
    monitor.start()
    assert len(listen(monitor, far_end, 0.6)) > 500
    monitor.close()


def test_an_absent_sensor_and_a_wrong_one_are_named(emulate: Emulate) -> None:
    with pytest.raises(SensorFault, match="0x45"):
        opened(emulate(), an_input(address=0x45))
    with pytest.raises(SensorFault, match="reads back 0x4007"):
        opened(emulate(sensor="ina226@0x40"), an_input(range_v=0.04))
