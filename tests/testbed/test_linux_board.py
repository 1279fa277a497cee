"""The Linux board on a temporary tree of /proc and /sys."""

from __future__ import annotations

import os
from pathlib import Path

import onnxruntime
import pytest

from testbed.agent.boards.linux import NO_RADIO_DBM, LinuxBoard, open_board
from testbed.agent.contract import CoRun, Setting


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    write(tmp_path / "proc/device-tree/serial-number", "10000000abcdef\0")
    write(tmp_path / "proc/stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n")
    write(tmp_path / "proc/meminfo", "MemTotal:  8000 kB\nMemFree: 1 kB\nMemAvailable:  6000 kB\n")
    write(
        tmp_path / "proc/net/wireless",
        "Inter-| sta-|   Quality        |   Discarded packets\n face | tus | link level noise |  nwid\n"
        " wlan0: 0000   54.  -56.  -256        0      0      0      0     93        0\n",
    )
    policy = tmp_path / "sys/devices/system/cpu/cpufreq/policy0"
    write(policy / "scaling_available_frequencies", "1500000 1600000 2400000 \n")
    write(policy / "scaling_min_freq", "1500000\n")
    write(policy / "scaling_max_freq", "2400000\n")
    write(policy / "scaling_cur_freq", "1600000\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "51200\n")
    write(tmp_path / "sys/class/thermal/thermal_zone1/temp", "100000\n")
    return tmp_path


def limits(root: Path) -> tuple[str, str]:
    policy = root / "sys/devices/system/cpu/cpufreq/policy0"
    return (policy / "scaling_min_freq").read_text().strip(), (policy / "scaling_max_freq").read_text().strip()


def test_it_says_which_board_it_is_and_what_it_can_be_set_to(root: Path) -> None:
    identity = LinuxBoard(4, root).identify()
    assert identity.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert identity.serial == "10000000abcdef"
    steps_hz = (1.5e9, 1.6e9, 2.4e9)
    assert identity.frequencies_hz == {"cpu": steps_hz, "cpu_ncnn": steps_hz}


def test_it_says_what_computes_there_and_how_it_is_set_up() -> None:
    core = max(os.sched_getaffinity(0))
    with open_board({"cores": [core]}) as board:
        engines = board.identify().engines
    how = f"1 threads on cores {core}, asleep while they wait"
    assert engines["cpu"] == f"onnxruntime {onnxruntime.__version__}, {how}"


def test_both_engines_are_targets_and_another_is_refused_by_name(root: Path) -> None:
    board = LinuxBoard(1, root)
    assert board.target("cpu") is not board.target("cpu_ncnn")
    with pytest.raises(ValueError, match="no target 'gpu'; it has: cpu, cpu_ncnn"):
        board.target("gpu")


def test_a_host_without_cpufreq_has_no_frequencies_to_set(tmp_path: Path) -> None:
    write(tmp_path / "proc/stat", "cpu  1 0 1 1 1 0 0 0\n")
    assert LinuxBoard(1, tmp_path).identify().frequencies_hz == {}


def test_a_frequency_is_pinned_and_read_back(root: Path) -> None:
    observed = LinuxBoard(4, root).set(Setting("cpu", 1.6e9))
    assert limits(root) == ("1600000", "1600000")
    assert observed.frequency_hz == 1.6e9


def test_leaving_the_board_gives_the_limits_back_whatever_happened(root: Path) -> None:
    with pytest.raises(RuntimeError, match="midway"), LinuxBoard(4, root) as board:
        board.set(Setting("cpu", 2.4e9))
        board.set(Setting("cpu", 1.5e9))
        raise RuntimeError("midway")
    assert limits(root) == ("1500000", "2400000")


def test_giving_a_processor_back_to_its_governor_restores_its_limits(root: Path) -> None:
    board = LinuxBoard(4, root)
    board.set(Setting("cpu", 1.6e9))
    board.set(Setting("cpu", None))
    assert limits(root) == ("1500000", "2400000")


def test_only_the_cpu_can_be_set(root: Path) -> None:
    with pytest.raises(ValueError, match="'gpu' cannot be set"):
        LinuxBoard(4, root).set(Setting("gpu", 1e9))


def test_telemetry_is_what_proc_and_sys_say(root: Path) -> None:
    telemetry = LinuxBoard(4, root).observe()
    assert telemetry.rssi_dbm == -56.0
    assert telemetry.co_memory == pytest.approx(0.25)
    assert telemetry.temperature_c == 51.2  # the zone that always reads 100 degrees is passed over
    assert telemetry.throttled is None


def test_cpu_time_between_two_looks_becomes_a_share(root: Path) -> None:
    board = LinuxBoard(4, root)
    write(root / "proc/stat", "cpu  400 0 150 1300 150 0 0 0 0 0\n")  # 1000 ticks on, 600 of them idle
    assert board.observe().co_cpu == pytest.approx(0.4, abs=0.05)  # less what this process itself burnt


def test_a_board_without_wifi_reports_a_signal_as_good_as_a_cable(root: Path) -> None:
    (root / "proc/net/wireless").unlink()
    assert LinuxBoard(4, root).observe().rssi_dbm == NO_RADIO_DBM


def test_a_co_runner_keeps_the_cores_busy_as_asked_and_ends(root: Path) -> None:
    with LinuxBoard(4, root) as board:
        assert board.co_run(CoRun(cpu=0.9, memory=0.0)).cpu > 0.2
        assert board.co_run(None) == CoRun(0.0, 0.0)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ValueError, match="unknown settings of a linux board: thread"):
        open_board({"thread": 3})
