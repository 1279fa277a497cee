"""Which calibration record counts for the meter at hand, and which does not, with the reason."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from rich.console import Console

from power import BridgeInput, InaBridge
from testbed.calibration import CalibrationRecord, Calibrations, Conditions, records_of, settings_of, store
from testbed.cli.person import Person
from testbed.config.plugins import MonitorSettings
from testbed.errors import BenchError
from testbed.farend import start_far_end
from testbed.monitors.ina_bridge import InaBridgeMonitor
from testbed.virtual.supply import SupplyWriter

NOW = datetime.now(timezone.utc)


def settings(port: str = "/dev/ttyUSB0", shunt_ohm: float = 0.02) -> InaBridgeMonitor:
    return InaBridgeMonitor(kind="ina-bridge", port=port, sensor="ina226", shunt_ohm=shunt_ohm, supply_voltage_v=5.0)


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InaBridge]:
    """Specimen B7, open."""
    supply = tmp_path_factory.mktemp("bridge") / "supply"
    SupplyWriter(supply).close()
    wiring = ["--supply-voltage=5", "--sensor=ina226@0x40", "--shunt-ohm=0.02", "--serial=B7"]
    with start_far_end("testbed.virtual.meters.bridge", [f"--supply={supply}", *wiring]) as far_end:
        monitor = InaBridge(far_end.ready["port"], BridgeInput(shunt_ohm=0.02, supply_v=5.0, sensor="ina226"))
        monitor.open()
        yield monitor
        monitor.close()


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def record(
    gain: float, age_days: float = 1, serial: str = "B7", made_with: MonitorSettings | None = None
) -> CalibrationRecord:
    created = NOW - timedelta(days=age_days)
    return CalibrationRecord(
        kind="ina-bridge",
        serial=serial,
        firmware="1.0",
        channel="supply",
        settings=settings_of(made_with or settings()),
        created=created,
        expires=created + timedelta(days=365),
        gain=gain,
        gain_standard_uncertainty=0.001,
        offset_w=0.002,
        offset_standard_uncertainty_w=0.0001,
        conditions=Conditions(
            load_ohm=10,
            load_standard_uncertainty=0.001,
            supply_v=5,
            supply_standard_uncertainty=0.0005,
            supply_by="given",
            load_power_w=2.5,
            samples=1000,
        ),
    )


def test_the_latest_record_of_the_specimen_counts_and_earlier_ones_are_kept(bridge: InaBridge) -> None:
    for one in (record(0.02, age_days=1), record(0.01, age_days=30), record(0.5, serial="B8")):
        store(one)
    found = Calibrations(settings(port="/dev/somewhere-else"))
    assert found(bridge)[0].gain == 0.02
    assert [one.gain for one in found.used] == [0.02]
    assert [one.gain for one in records_of("ina-bridge", "B7")] == [0.01, 0.02]
    assert "ina-bridge B7, supply, checked" in str(found.used[0])


def test_without_a_record_nothing_is_corrected(bridge: InaBridge) -> None:
    found = Calibrations(settings())
    assert found(bridge) == {}
    assert found.used == found.passed_over == ()


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (record(0.02, age_days=400), "expired on"),
        (record(0.02, made_with=settings(shunt_ohm=0.01)), "another monitor.shunt_ohm (0.01)"),
    ],
)
def test_a_record_that_no_longer_holds_is_passed_over_with_the_reason(
    bridge: InaBridge, kept: CalibrationRecord, reason: str
) -> None:
    store(kept)
    found = Calibrations(settings())
    assert found(bridge) == {}
    assert reason in found.passed_over[0]
    assert "the maker's limits count instead" in found.passed_over[0]


def test_a_resumed_run_goes_on_with_the_records_it_began_with(bridge: InaBridge) -> None:
    store(record(0.02))
    assert Calibrations(settings(), pinned=[record(0.01, age_days=400)])(bridge)[0].gain == 0.01
    assert Calibrations(settings(), pinned=[])(bridge) == {}


def test_a_resumed_run_refuses_another_specimen(bridge: InaBridge) -> None:
    with pytest.raises(BenchError, match="is specimen B7; the run began with B8, calibrated: attach that one"):
        Calibrations(settings(), pinned=[record(0.01, serial="B8")])(bridge)


def test_a_damaged_record_is_named_with_its_cure(bridge: InaBridge) -> None:
    path = store(record(0.02))
    path.write_text("{}")
    with pytest.raises(BenchError, match=f"{path} is no calibration record of format 1"):
        Calibrations(settings())(bridge)


def test_nobody_at_the_keyboard_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    person = Person(Console(file=said), 10.0, 5.0)
    person.disconnect()
    with pytest.raises(BenchError, match="nobody pressed Enter"):
        person.connect()
    assert "the 10 Ohm resistor (it takes 2.5 W" in " ".join(said.getvalue().split())
