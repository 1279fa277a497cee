"""What boards see of themselves: loads of others, temperatures, clocks, signal, throttling."""

from __future__ import annotations

import os
from pathlib import Path

import onnxruntime
import pytest

from scheduler.contract import Action
from testbed.agent.agent import Agent
from testbed.agent.boards.real import NO_RADIO_DBM
from testbed.agent.footing import Footing
from testbed.agent.life import SignsOfLife
from testbed.agent.store import ModelStore
from tests.testbed.boards import trees
from tests.testbed.boards.conftest import Opener, busy


def test_it_says_which_board_it_is(root: Path, opened: Opener) -> None:
    trees.pi5(root)
    identity = opened("raspberry-pi").identify()
    assert (identity.model, identity.serial) == ("Raspberry Pi 5 Model B Rev 1.0", "1420000000001")
    assert identity.frequencies_hz == dict.fromkeys(("cpu", "cpu_ncnn"), (1.5e9, 1.6e9, 2.4e9))


def test_it_says_what_computes_there_and_how_it_is_set_up(root: Path, opened: Opener) -> None:
    trees.pi5(root)
    core = max(os.sched_getaffinity(0))
    engines = opened("raspberry-pi", threads=None, cores=[core]).identify().engines
    how = f"1 threads on cores {core}, asleep while they wait"
    assert engines["cpu"] == f"onnxruntime {onnxruntime.__version__}, {how}"


def test_both_engines_are_targets_and_another_is_refused_by_name(root: Path, opened: Opener) -> None:
    trees.pi5(root)
    board = opened("raspberry-pi")
    assert board.target("cpu") is not board.target("cpu_ncnn")
    with pytest.raises(ValueError, match="no target 'gpu'; it has: cpu, cpu_ncnn"):
        board.target("gpu")


def test_the_state_is_what_proc_and_sys_say(root: Path, opened: Opener) -> None:
    trees.nano_jp4(root)
    telemetry = opened("jetson").observe()
    assert telemetry.co_memory == pytest.approx(0.25)
    assert telemetry.temperature_c == 42.0  # the zone that always reads 100 degrees is passed over
    assert telemetry.rssi_dbm == NO_RADIO_DBM
    assert telemetry.throttled is None  # this release does not tell


@pytest.mark.parametrize(("interface", "rssi_dbm"), [(None, -56.0), ("wlan1", -71.0), ("wlan7", NO_RADIO_DBM)])
def test_the_signal_is_that_of_the_interface_named(
    root: Path, opened: Opener, interface: str | None, rssi_dbm: float
) -> None:
    trees.pi5(root)
    assert opened("raspberry-pi", wifi_interface=interface).observe().rssi_dbm == rssi_dbm


def test_cpu_time_between_two_looks_becomes_a_share(root: Path, opened: Opener) -> None:
    trees.pi5(root)
    board = opened("raspberry-pi")
    trees.write(root / "proc/stat", "cpu  400 0 150 1300 150 0 0 0 0 0\n")  # 1000 ticks on, 600 of them idle
    assert board.observe().co_cpu == pytest.approx(0.4, abs=0.05)  # less what this process itself burnt


def test_a_sensor_that_fails_or_vanishes_does_not_stop_the_others_and_may_come_back(root: Path, opened: Opener) -> None:
    trees.orin_jp6(root)
    hot = root / "sys/class/thermal/thermal_zone1/temp"
    gated = trees.zone(root, 2, "gpu-thermal", "0")
    gated.unlink()
    gated.symlink_to("/proc/self/mem")  # a file of the kernel that opens, and refuses to be read
    board = opened("jetson")
    assert board.sweep()["tj-thermal_c"] == 50.25
    hot.unlink()
    first = board.sweep()
    assert "gpu-thermal_c" not in first
    assert first["cpu-thermal_c"] == 47.5
    assert first["gpu_load"] == pytest.approx(0.437)
    assert first["gpu_hz"] == 306e6
    hot.write_text("61000\n")
    gated.unlink()
    gated.write_text("44000\n")
    assert board.sweep()["gpu-thermal_c"] == 44.0


def test_a_sensor_whose_device_is_gated_answers_eagain_and_is_asked_again(root: Path, opened: Opener) -> None:
    gated = trees.zone(trees.thor_jp7(root), 1, "gpu-thermal", "44000")
    board = opened("jetson")
    with busy(gated), busy(root / "sys/class/thermal/thermal_zone0/temp"):
        assert board.observe().temperature_c is None
        assert board.sweep()["gpu_hz"] == 315e6
    assert board.sweep()["gpu-thermal_c"] == 44.0


def test_two_zones_of_one_name_are_told_apart(root: Path, opened: Opener) -> None:
    trees.host(root)
    trees.zone(root, 1, "x86_pkg_temp", "58000")
    told = opened("linux").sweep()
    assert (told["x86_pkg_temp_c"], told["x86_pkg_temp_1_c"]) == (61.0, 58.0)


def test_a_jetson_tells_what_throttles_it(root: Path, opened: Opener) -> None:
    trees.orin_jp6(root)
    board = opened("jetson")
    assert board.standing().throttling == ()
    (root / "sys/class/hwmon/hwmon3/oc3_event_cnt").write_text("2\n")
    alert = root / "sys/class/thermal/cooling_device2/cur_state"
    alert.write_text("1\n")
    assert board.standing().throttling == ("gpu-throttle-alert", "instantaneous over-current")
    alert.write_text("0\n")
    assert board.standing().throttling == ("gpu-throttle-alert",)  # it was so when last looked at
    assert board.standing().throttling == ()


@pytest.mark.parametrize(
    ("bits", "told"),
    [
        ("0x0", ()),
        ("0x50005", ("throttled", "under-voltage")),
        ("0x10000", ("under-voltage",)),
        ("0x80008", ("soft temperature limit",)),
        ("nonsense", ()),
    ],
)
def test_a_pi_tells_what_throttles_it(root: Path, opened: Opener, bits: str, told: tuple[str, ...]) -> None:
    trees.pi4(root)
    board = opened("raspberry-pi")
    board.standing()
    (root / "run/throttled").write_text(bits)
    assert board.standing().throttling == told


def test_a_trials_footing_is_asked_observed_and_tagged(root: Path, opened: Opener) -> None:
    trees.pi5(root)
    footing = Footing(opened("raspberry-pi"))
    footing.take(Action("cpu", "fp32", 1.6e9))
    told, strayed = footing.leave()
    assert strayed == []
    assert told["board"]["asked"] == {"cpu": 1.6e9}
    assert told["board"]["held"]["limits_hz"] == {"cpu0": [1.6e9, 1.6e9]}
    assert told["board"]["after"]["cpu_measured_hz"] == 1600109952
    assert told["switch_s"] > 0
    assert told["throttled"] is False
    footing.take(Action("cpu", "fp32", 1.6e9))
    (root / "run/throttled").write_text("0x50005")
    (root / "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq").write_text("2400000\n")
    told, strayed = footing.leave()
    assert told["switch_s"] is None  # nothing was changed
    assert told["throttled"] is True
    assert strayed == [
        "cpu0: limits are 1600 MHz to 2400 MHz, 1600 MHz asked",
        "throttled: throttled",
        "throttled: under-voltage",
    ]


def test_the_agent_tells_of_the_board_in_plain_values(root: Path, opened: Opener, tmp_path: Path) -> None:
    trees.orin_jp6(root)
    agent = Agent(opened("jetson"), ModelStore(tmp_path / "models"), SignsOfLife())
    agent.tune("gpu", "612e6")
    assert agent.standing()["asked"] == {"gpu": 612e6}
    assert agent.sweep()["readings"]["others_cpu"] == 0.0
    assert agent.offered()["power_mode"] == ["MAXN", "MODE_15W", "MODE_30W"]
    agent.restore()
    assert agent.standing()["asked"] == {}
