"""Meters on the board, as a bench file names them: where they are read, and what is refused before anything is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from power import BoardUnreachable, OnBoard, Place, Rapl, Recorder, SensorFault
from testbed.config import Bench, bench_schema, load_bench
from testbed.config.plugins import Agent, Attached
from testbed.discovery import discover
from testbed.doctor import examine
from testbed.errors import BenchError
from testbed.meter import Meter
from testbed.wiring import wiring_problems
from tests.power.trees import put_all

S = 1_000_000_000
BIN = Path(__file__).parents[1] / "power/board/bin"
PI = "kind: linux, model: raspberry-pi-5, supply_voltage_v: 5.1 V"
INA = "kind: ina-i2c, sensor: ina226, shunt_ohm: 15 mOhm, supply_voltage_v: 5.1 V"
LIMITS = "gain_limit: 0.01, offset_limit_w: 0.1, step_w: 1 mW, conversion_s: 1 ms, refresh_s: 2 ms"
CHIP = f"{{name: ina238, total: [power1], {LIMITS}}}"


def bench(folder: Path, board: str, monitor: str) -> Bench:
    path = folder / "bench.yaml"
    path.write_text(f"name: it\nboard: {{{board}}}\nmonitor: {{{monitor}}}\n")
    return load_bench(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    zone = {"name": "package-0", "max_energy_range_uj": 10**12, "energy_uj": 5}
    put_all(tmp_path / "sys/class/powercap/intel-rapl:0", zone)
    return tmp_path


def test_a_whole_bench_with_a_meter_on_its_board_passes_the_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "output").write_text(" VDD_CORE_A current(7)=2.5A\n VDD_CORE_V volt(15)=0.8V\n")
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    monkeypatch.setenv("PMIC_OUTPUT", str(tmp_path / "output"))
    found = {finding.what: finding for finding in examine(bench(tmp_path, PI, "kind: pi-pmic, rate_hz: 20"))}
    assert "pi-pmic on local: " in found["monitor"].detail
    assert found["power"].detail == "2.00 W now"
    assert found["meter clock"].verdict == "ok"


@pytest.mark.parametrize("monitor", [INA, "kind: rails", f"kind: rails, chip: {CHIP}", "kind: pi-pmic", "kind: rapl"])
def test_it_is_read_where_the_agent_runs(tmp_path: Path, monitor: str) -> None:
    agent = "{via: 'ssh://pi@board.local:2222', python: /opt/python}"
    settings = bench(tmp_path, f"{PI}, agent: {agent}", monitor)
    assert settings.provenance == "measured"
    assert settings.monitor is not None
    assert settings.monitor.far_end(tmp_path, 5.0, 0) is None
    assert not wiring_problems(settings)
    assert settings.monitor.build(settings.board, None).spec.name.endswith(" on ssh://pi@board.local:2222")
    assert bench_schema().model_validate(settings.model_dump(mode="json")) == settings  # as a resumed run reads it


def test_over_ssh_nothing_but_python_is_needed(root: Path, ssh: Agent) -> None:
    place = Place(ssh.via, ssh_config=ssh.ssh_config, python=ssh.python)
    monitor = OnBoard(Rapl(rate_hz=200.0, root=root), rate_hz=200.0, place=place)
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns() + S // 2, timeout_s=20.0)
        samples, fit = recorder.since(0), monitor.clock
    assert len(samples) > 50
    assert samples.power_w == pytest.approx(0.0)
    # The same machine at both ends: the two clocks are one.
    assert abs(fit.device_ns - fit.controller_ns) < 5e-3 * S


def test_a_fault_over_ssh_names_the_board(root: Path, ssh: Agent) -> None:
    place = Place(ssh.via, ssh_config=ssh.ssh_config, python=ssh.python)
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    monitor = OnBoard(Rapl(rate_hz=200.0, root=root), rate_hz=200.0, place=place)
    with pytest.raises(SensorFault, match=r"energy_uj on ssh://127\.0\.0\.1:\d+: No such file"), Recorder(monitor):
        pass


def test_a_board_that_ssh_does_not_reach_is_told_from_one_without_python(root: Path, ssh: Agent) -> None:
    nobody = Place("ssh://127.0.0.1:1", ssh_config=ssh.ssh_config)
    with pytest.raises(BoardUnreachable, match="cannot be reached by ssh without a password.*refused"):
        OnBoard(Rapl(rate_hz=1.0, root=root), rate_hz=1.0, place=nobody).open()
    bare = Place(ssh.via, ssh_config=ssh.ssh_config, python="/nowhere/python")
    with pytest.raises(BoardUnreachable, match="is /nowhere/python there, 3.8 or newer"):
        OnBoard(Rapl(rate_hz=1.0, root=root), rate_hz=1.0, place=bare).open()


def test_a_virtual_board_has_no_real_meter_on_it(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="a real monitor cannot meter a virtual board"):
        bench(tmp_path, "kind: virtual, profile: raspberry-pi-5, supply_voltage_v: 5.1 V", "kind: pi-pmic")


@pytest.mark.parametrize(
    ("monitor", "problem"),
    [
        (INA.replace("15 mOhm", "100 mOhm"), r"shunt_ohm: the board draws up to 4\.9 A, .* take at most 17 mOhm"),
        (INA.replace("supply_voltage_v: 5.1 V", "supply_voltage_v: 12 V"), "the shunt must stand in the board's own"),
    ],
)
def test_a_shunt_the_board_overruns_is_refused(tmp_path: Path, monitor: str, problem: str) -> None:
    import re

    assert re.search(problem, "\n".join(wiring_problems(bench(tmp_path, PI, monitor))))


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        (f"{INA}, averages: 3", "averages: an ina226 has no 3"),
        ("kind: rails, chip: {name: ina238}", "total"),
        ("kind: rapl, rate_hz: 100 kHz", "less than or equal to 500"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, monitor: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        bench(tmp_path, PI, monitor)


def test_what_this_host_has_is_listed_ready_to_paste(root: Path) -> None:
    put_all(root / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3", {"in1_label": "VDD_IN"})
    put_all(root / "proc/device-tree", {"model": "Raspberry Pi 5 Model B Rev 1.0"})
    found = [attached for attached in discover([], root) if isinstance(attached, Attached)]
    assert {str(attached.settings["kind"]): attached.what for attached in found} == {
        "rails": "INA3221 rails of this board, I2C 1-0040",
        "pi-pmic": "the power-management chip of this Raspberry Pi 5",
        "rapl": "RAPL counters intel-rapl:0 of this host",
    }
    assert not list(discover([], root / "nowhere"))


def test_a_guard_too_short_for_a_slow_meter_is_refused_before_the_first_trial(root: Path) -> None:
    with Meter(OnBoard(Rapl(rate_hz=50.0, root=root), rate_hz=50.0)) as meter:
        meter.require_guard(0.1)
        with pytest.raises(BenchError, match=r"guard_s of 15 ms is too short for rapl on local, .* set it to 90 ms"):
            meter.require_guard(0.015)
