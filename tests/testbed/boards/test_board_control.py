"""Every generation of boards on a tree of its files: found, set, read back, given back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.boards.jetson import NotThisBoard
from testbed.agent.contract import Setting
from testbed.agent.control.files import ControlRefused, put
from testbed.agent.control.power_modes import read_modes
from tests.testbed.boards import trees
from tests.testbed.boards.conftest import Opener, busy

JETSONS: list[tuple[trees.Tree, str, float]] = [
    (trees.nano_jp4, "sys/devices/57000000.gpu/devfreq/57000000.gpu", 640e6),
    (trees.xavier_jp5, "sys/devices/17000000.gv11b/devfreq/17000000.gv11b", 803.25e6),
    (trees.orin_jp5, "sys/devices/17000000.ga10b/devfreq/17000000.ga10b", 612e6),
    (trees.orin_jp6, "sys/devices/platform/17000000.gpu/devfreq_dev", 612e6),
    (trees.thor_jp7, "sys/class/devfreq/gpu-gpc-0", 1575e6),
]


def state(root: Path) -> dict[str, str]:
    """Everything in the tree."""
    return {str(path): path.read_text().strip() for path in sorted(root.rglob("*")) if path.is_file()}


def number(path: Path) -> int:
    return int(path.read_text())


@pytest.mark.parametrize(("tree", "gpu", "step_hz"), JETSONS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_jetsons_clocks_are_held_and_given_back(
    root: Path, opened: Opener, tree: trees.Tree, gpu: str, step_hz: float
) -> None:
    before = state(tree(root))
    board = opened("jetson")
    steps = board.identify().frequencies_hz
    assert step_hz in steps["gpu"]
    board.set(Setting("gpu", step_hz))
    board.set(Setting("cpu", steps["cpu"][-2]))
    assert number(root / gpu / "min_freq") == number(root / gpu / "max_freq") == step_hz
    for policy in (root / "sys/devices/system/cpu/cpufreq").iterdir():
        assert (
            number(policy / "scaling_min_freq") * 1e3 == number(policy / "scaling_max_freq") * 1e3 == steps["cpu"][-2]
        )
    board.set(Setting("gpu", None))
    assert number(root / gpu / "min_freq") == steps["gpu"][0]
    board.restore()
    assert state(root) == before


@pytest.mark.parametrize("tree", [trees.orin_jp5, trees.orin_jp6])
def test_memory_and_dlas_are_capped(root: Path, opened: Opener, tree: trees.Tree) -> None:
    before = state(tree(root))
    board = opened("jetson", caps_hz={"emc": 2133e6})
    assert board.identify().frequencies_hz["dla0"] == (614.4e6, 1369.6e6, 1600e6)  # the power modes', and as found
    assert board.set(Setting("dla0", 614.4e6)).frequency_hz == 614.4e6
    held = board.standing().held["caps_hz"]
    assert held == {"emc": 2133e6, "dla0": 614.4e6, "dla1": 1600e6}
    board.set(Setting("dla0", None))
    assert board.standing().held["caps_hz"]["dla0"] == 1600e6
    board.restore()
    assert state(root) == before


@pytest.mark.parametrize("name", ["MODE_15W", "15W", "15w"])
def test_a_power_mode_is_entered_by_its_name_and_left_again(root: Path, opened: Opener, name: str) -> None:
    policy = trees.orin_jp6(root) / "sys/devices/system/cpu/cpufreq/policy0"
    (policy / "scaling_min_freq").write_text("1113600\n")  # by a person, and no mode's
    before = state(root)
    board = opened("jetson", power_mode=name)
    standing = board.standing()
    assert standing.held["power_mode"] == "MODE_15W"
    assert standing.held["cores_on"] == 4
    assert standing.strayed == ()
    # What lies above the mode's limit is not offered.
    assert board.identify().frequencies_hz["cpu"][-1] == 1728e6
    board.restore()
    assert state(root) == before


def test_a_mode_that_takes_a_boot_is_refused_unless_the_bench_allows_it(root: Path, opened: Opener) -> None:
    before = state(trees.orin_jp6(root))
    with pytest.raises(ControlRefused, match=r"'MODE_30W' needs a boot of the board: allow it with `allow_reboot"):
        opened("jetson", power_mode="30W")
    assert state(root) == before
    with pytest.raises(ControlRefused, match="the board boots into power mode 'MODE_30W', which stays"):
        opened("jetson", power_mode="30W", allow_reboot=True)
    assert (root / "run/booted").exists()
    # It stays: the board that comes back is in it, and nothing is left that would boot it once more.
    board = opened("jetson", power_mode="30W", allow_reboot=True)
    assert board.standing().held["power_mode"] == "MODE_30W"


def test_a_mode_that_does_not_exist_names_those_that_do(root: Path, opened: Opener) -> None:
    trees.orin_jp6(root)
    with pytest.raises(ControlRefused, match=r"'MAX' does not exist .* did you mean 'MAXN'\? It has: MAXN, MODE_15W"):
        opened("jetson", power_mode="MAX")


def test_without_its_status_file_nvpmodel_is_asked(root: Path, opened: Opener) -> None:
    trees.xavier_jp5(root)
    (root / "var/lib/nvpmodel/status").rename(root / "status")
    (root / "var/lib/nvpmodel").rmdir()
    (root / "var/lib").rmdir()
    (root / "var").rename(root / "gone")
    trees.write(root / "usr/sbin/nvpmodel", '#!/bin/sh\necho "NV Power Mode: MODE_15W_6CORE"\necho 1\n')
    assert opened("jetson").standing().held["power_mode"] == "MODE_15W_6CORE"


def test_cores_go_off_and_come_back(root: Path, opened: Opener) -> None:
    before = state(trees.pi5(root))
    board = opened("raspberry-pi", cores_on=2)
    switches = [root / f"sys/devices/system/cpu/cpu{core}/online" for core in (1, 2, 3)]
    assert [number(switch) for switch in switches] == [1, 0, 0]
    board.restore()
    assert state(root) == before
    with pytest.raises(ControlRefused, match="5 cannot be on, this board has 4"):
        board.tune("cores_on", "5")


def test_a_governor_is_asked_for_and_one_that_is_reset_is_told(root: Path, opened: Opener) -> None:
    trees.pi4(root)
    board = opened("raspberry-pi", governor="performance")
    assert board.standing().strayed == ()
    governor = root / "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
    governor.write_text("ondemand\n")
    trees.write(root / "proc/812/comm", "power-profiles-\n")
    assert board.standing().strayed == (
        "cpu0: governor is 'ondemand', 'performance' asked",
        "running, and known to set clocks: power-profiles-daemon",
    )
    with pytest.raises(ControlRefused, match="no governor 'fast'; it has: ondemand, userspace, performance, schedutil"):
        board.tune("governor", "fast")


def test_limits_that_somebody_resets_are_told(root: Path, opened: Opener) -> None:
    trees.orin_jp6(root)
    board = opened("jetson")
    board.set(Setting("gpu", 612e6))
    (root / "sys/devices/platform/17000000.gpu/devfreq_dev/max_freq").write_text("1224000000\n")
    assert board.standing().strayed == ("gpu: limits are 612 MHz to 1224 MHz, 612 MHz asked",)


def test_a_pis_true_clock_counts_not_the_one_asked_for(root: Path, opened: Opener) -> None:
    trees.pi5(root)
    board = opened("raspberry-pi")
    board.set(Setting("cpu", 1.6e9))
    assert board.standing().strayed == ()
    (root / "run/arm_hz").write_text("1000000000")
    assert board.standing().strayed == ("cpu: measured at 1000 MHz, 1600 MHz asked",)


def test_a_driver_without_steps_is_offered_in_hundreds_of_megahertz(root: Path, opened: Opener) -> None:
    before = state(trees.host(root))
    board = opened("linux")
    steps = board.identify().frequencies_hz["cpu"]
    assert (steps[0], steps[1], steps[-1]) == (8e8, 9e8, 3.6e9)
    board.set(Setting("cpu", 1.2e9))
    assert board.standing().strayed == ()  # such a driver runs at about what is asked, and less when idle
    board.restore()
    assert state(root) == before


def test_a_frequency_that_is_no_step_names_the_nearest(root: Path, opened: Opener) -> None:
    trees.orin_jp6(root)
    with pytest.raises(ControlRefused, match="gpu has no step at 500 MHz: the nearest is 510 MHz"):
        opened("jetson").set(Setting("gpu", 500e6))


def test_a_value_the_kernel_does_not_take_is_told_and_the_rest_given_back(root: Path, opened: Opener) -> None:
    before = state(trees.orin_jp6(root))
    board = opened("jetson")
    board.set(Setting("gpu", 612e6))
    high = root / "sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq"
    high.unlink()
    high.symlink_to("/proc/self/oom_score_adj")  # a file of the kernel that takes no such number
    with pytest.raises(ControlRefused, match=r"policy4/scaling_max_freq cannot be set to '1497600': the kernel does"):
        board.set(Setting("cpu", 1497.6e6))
    board.restore()
    high.unlink()
    high.write_text(before[str(high)])
    assert state(root) == before


def test_a_driver_that_is_busy_is_asked_again_with_a_bound(tmp_path: Path) -> None:
    knob = trees.write(tmp_path / "knob", "1")
    with busy(knob, until_asked=True):
        put(knob, "2")
    assert knob.read_text() == "2"
    with busy(knob), pytest.raises(ControlRefused, match="cannot be set to '3': its driver is busy, and stays so"):
        put(knob, "3")


def test_files_that_cannot_be_written_are_offered_to_nobody(root: Path, opened: Opener) -> None:
    trees.pi5(root)
    high = root / "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq"
    high.unlink()
    high.symlink_to("/proc/sys/kernel/ostype")  # read-only for all, or on a read-only file system
    board = opened("raspberry-pi")
    assert "cpu" not in board.identify().frequencies_hz
    assert board.offered()["clocks_hz"]["cpu"] == [1.5e9, 1.6e9, 2.4e9]
    with pytest.raises(ControlRefused, match=r"scaling_max_freq cannot be set to '1600000': .*(may not|read-only)"):
        board.tune("cpu", "1.6e9")


@pytest.mark.parametrize(
    ("kind", "tree"), [("jetson", trees.pi5), ("raspberry-pi", trees.orin_jp6), ("jetson", trees.host)]
)
def test_a_board_of_another_kind_is_refused(root: Path, opened: Opener, kind: str, tree: trees.Tree) -> None:
    tree(root)
    with pytest.raises(NotThisBoard, match=r"is no (Jetson|Raspberry Pi).*; kinds of other boards: "):
        opened(kind)


def test_an_unknown_setting_or_knob_is_named(root: Path, opened: Opener) -> None:
    trees.orin_jp6(root)
    with pytest.raises(ValueError, match="unknown settings of a linux board: thread"):
        opened("linux", thread=3)
    board = opened("jetson")
    with pytest.raises(
        ControlRefused, match="no knob 'npu'; it has: power_mode, governor, cores_on, cpu, gpu, emc, dla0, dla1"
    ):
        board.tune("npu", "1")
    with pytest.raises(ControlRefused, match="gpu: 'fast' is no number"):
        board.tune("gpu", "fast")


@given(st.text("<> POWER_MODEL=IDNAME0123\nEMC MAX_FREQ-", max_size=200))
def test_any_text_has_modes_or_none(text: str) -> None:
    for mode in read_modes(text):
        assert mode.id >= 0
        assert mode.name


@given(st.lists(st.tuples(st.from_regex(r"[A-Z0-9_]{1,12}", fullmatch=True), st.integers(0, 10**10)), max_size=6))
def test_modes_are_read_as_they_are_written(written: list[tuple[str, int]]) -> None:
    text = "\n".join(
        f"< POWER_MODEL ID={number} NAME={name} >\nEMC MAX_FREQ {cap}\nGPU MIN_FREQ 7\n"
        for number, (name, cap) in enumerate(written)
    )
    expected = [({"EMC": float(cap)} if cap else {}) for _, cap in written]
    assert [(mode.id, mode.name) for mode in read_modes(text)] == [*enumerate(name for name, _ in written)]
    assert [mode.caps_hz for mode in read_modes(text)] == expected
