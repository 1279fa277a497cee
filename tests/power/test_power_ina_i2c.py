from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.waveform import Segment, Waveform
from power import InaI2c, OnBoard, Recorder, SensorFault, TraceIncomplete, cut

BOARD = Path(__file__).parent / "board"
S = 1_000_000_000
LOADS = [Segment(0.9, 4.0, 4.0), Segment(0.3, 12.0, 12.0), Segment(0.2, 12.0, 3.0), Segment(30.0, 3.0, 3.0)]


@pytest.fixture
def begun_ns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """An INA226 at 0x40 behind the board's bus 1; its waveform begins when the sampler has had time to start."""
    Waveform(LOADS).write(tmp_path / "supply")
    begun_ns = time.monotonic_ns()
    settings = {
        "PYTHONPATH": BOARD,
        "BOARD_SENSOR": "ina226@0x40",
        "BOARD_SHUNT_OHM": 0.02,
        "BOARD_SUPPLY": tmp_path / "supply",
        "BOARD_BEGUN_NS": begun_ns,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    return begun_ns


def sensor(bus: int = 1, **settings: object) -> InaI2c:
    return InaI2c(bus, **{"shunt_ohm": 0.02, "supply_v": 5.0, "conversion_s": 1.1e-3, **settings})  # type: ignore[arg-type]


def refusal(sensor: InaI2c) -> str:
    monitor = OnBoard(sensor, rate_hz=100.0)
    with pytest.raises(SensorFault) as caught:
        monitor.open()
    return str(caught.value)


CHIPS = {
    "ina219": {"conversion_s": 532e-6, "averages": 8},
    "ina226": {"conversion_s": 1.1e-3, "averages": 4},
    "ina228": {"conversion_s": 1.052e-3, "averages": 4},
}


@pytest.mark.parametrize(
    ("chip", "range_v"), [("ina219", 0.08), ("ina226", None), ("ina228", 0.16384), ("ina228", 0.04096)]
)
def test_energy_agrees_with_the_closed_form_within_its_uncertainty(
    begun_ns: int, monkeypatch: pytest.MonkeyPatch, chip: str, range_v: float | None
) -> None:
    monkeypatch.setenv("BOARD_SENSOR", f"{chip}@0x40")
    monkeypatch.setenv("BOARD_SHUNT_OHM", "0.01")
    monitor = OnBoard(sensor(sensor=chip, shunt_ohm=0.01, range_v=range_v, **CHIPS[chip]), rate_hz=100.0)
    with Recorder(monitor) as recorder:
        now_ns = time.monotonic_ns()
        recorder.wait_until(now_ns + 2 * S, timeout_s=20.0)
        samples = recorder.since(0)
        spec, clock_s = monitor.spec, monitor.clock.standard_uncertainty_s
    measured = 0
    for start_ns in range(now_ns + S // 10, now_ns + S, S // 7):
        end_ns = start_ns + 7 * S // 10
        truth_j = Waveform(LOADS).energy_j(start_ns - begun_ns, end_ns - begun_ns)
        try:
            energy = cut(samples, start_ns, end_ns, spec, clock_uncertainty_s=clock_s)
        except TraceIncomplete:  # a busy machine reads late, and such a window has no energy
            continue
        measured += 1
        assert abs(energy.energy_j - truth_j) <= 4 * energy.standard_uncertainty_j
        assert energy.standard_uncertainty_j < 0.1 * truth_j
    assert measured
    assert samples.voltage_v == pytest.approx(5.0, abs=0.01)
    assert spec.aperture_s == pytest.approx(4.3e-3, rel=0.03)


def test_nothing_is_read_more_often_than_the_chip_converts(begun_ns: int) -> None:
    monitor = OnBoard(sensor(averages=4), rate_hz=1000.0)
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
    assert monitor.spec.rate_hz == pytest.approx(1 / 8.8e-3)


def test_readings_beyond_the_range_count_as_lost(
    begun_ns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Waveform([Segment(0.02, 4.0, 4.0), Segment(0.02, 5.0, 5.0)] * 500).write(tmp_path / "supply")
    monkeypatch.setenv("BOARD_SHUNT_OHM", "0.1")  # 4 W at 5 V make 80 mV of its 81.92 mV, 5 W make 100 mV
    with Recorder(OnBoard(sensor(shunt_ohm=0.1), rate_hz=400.0)) as recorder:
        recorder.wait_until(time.monotonic_ns() + S, timeout_s=20.0)
        samples = recorder.since(0)
    assert "overflowed" in caplog.text
    assert samples.power_w.max() < 4.1
    assert np.diff(samples.index).max() > 5


def test_a_chip_of_another_kind_is_found_out(begun_ns: int) -> None:
    assert "is it really an ina219?" in refusal(sensor(sensor="ina219", conversion_s=532e-6))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"address": 0x41}, r"0x41 on /dev/i2c-1 on local: Remote I/O error; nothing answers at this address"),
        ({"bus": 7}, r"/dev/i2c-7 on local: No such file or directory; enable the I2C bus"),
    ],
)
def test_a_sensor_that_is_not_there_is_named_with_the_cure(
    begun_ns: int, settings: dict[str, int], message: str
) -> None:
    assert message in refusal(sensor(**settings))


def test_a_missing_smbus2_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "smbus2.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = refusal(sensor())
    assert f"smbus2 is not installed for {sys.executable} on local" in told
    assert "pip install smbus2" in told


@pytest.mark.parametrize("settings", [{"sensor": "ina999"}, {"averages": 3}, {"conversion_s": 1e-3}])
def test_settings_the_chip_does_not_have_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ina999|averages|conversion_s"):
        sensor(**settings)
