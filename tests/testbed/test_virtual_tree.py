"""A virtual board's files, as anybody finds them: they answer as a kernel's, and move the processors."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scheduler.contract import Action, Network, Task
from testbed.agent.contract import CoRun, Model, Setting
from testbed.agent.control.files import ControlRefused, text
from testbed.agent.footing import Footing
from testbed.virtual.board import VirtualBoard, open_board

Opener = Callable[..., tuple[VirtualBoard, Path]]
POLICY = "sys/devices/system/cpu/cpufreq/policy{}"
GPU = "sys/devices/platform/17000000.gpu/devfreq_dev"
DLA = "sys/devices/platform/bus@0/13e00000.host1x/15880000.nvdla0/clk_cap/dla0_core"
SHORT_S = 20


def mounts(folder: Path) -> list[Path]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [Path(line.split()[1]) for line in lines if line.split()[1].startswith(f"{folder}/")]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens a board; also the root of its files."""
    with ExitStack() as stack:

        def open_(profile: str = "jetson-agx-orin", **settings: object) -> tuple[VirtualBoard, Path]:
            config = {"profile": profile, "supply": str(tmp_path / "supply"), "seed": 3, **settings}
            board = stack.enter_context(open_board(config))
            for label in board.identify().labels:
                pytest.skip(label)
            (root,) = mounts(tmp_path)
            return board, root

        yield open_
    assert mounts(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} <= {"supply", "m.onnx"}


def number(path: Path) -> int:
    return int(path.read_text())


def refused(path: Path, value: str) -> int | None:
    """The errno with which a write is refused, in the way a shell writes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, value.encode())
    except OSError as error:
        return error.errno
    finally:
        os.close(descriptor)
    return None


def latency_s(board: VirtualBoard, model: Model, action: Action) -> float:
    """What the truth says of an action now."""
    network = Network(model.name, 49, 1, 0, model.macs, 0)
    task = Task("camera", network, 0.033, accuracy_target=0.9, accuracy={"fp16": 0.99, "fp32": 1.0, "int8": 0.98})
    (means,) = board.true_means(task, [action])
    return means.latency_s


def test_cpufreq_keeps_requests_and_moves_them_to_steps(opened: Opener) -> None:
    _, root = opened()
    policy = root / POLICY.format(0)
    low, high = policy / "scaling_min_freq", policy / "scaling_max_freq"
    assert (number(low), number(high)) == (729600, 2201600)
    high.write_text("1000000")
    assert number(high) == 960000
    low.write_text("1500000\n")  # above the upper limit: no error since Linux 5.3; no step is at 1 GHz, so the next one
    assert (number(low), number(high)) == (1036800, 1036800)
    high.write_text("9999999")
    assert (number(low), number(high)) == (1574400, 2201600)
    low.write_text("1000000")
    high.write_text("1000000")  # no step lies between
    assert (number(low), number(high)) == (1036800, 1036800)
    assert number(policy / "scaling_cur_freq") == 1036800


def test_devfreq_keeps_requests_in_kilohertz(opened: Opener) -> None:
    _, root = opened()
    low, high = root / GPU / "min_freq", root / GPU / "max_freq"
    high.write_text("650000001")
    assert number(high) == 650001000
    low.write_text("700000999")
    assert (number(low), number(high)) == (650001000, 650001000)
    high.write_text("0")  # takes it away
    assert (number(low), number(high)) == (700000000, 1300500000)
    assert number(root / GPU / "cur_freq") == 714000000


@pytest.mark.parametrize(
    ("file", "value"),
    [
        (f"{POLICY.format(0)}/scaling_max_freq", "fast"),
        (f"{POLICY.format(0)}/scaling_min_freq", "-1"),
        (f"{POLICY.format(0)}/scaling_governor", "turbo"),
        (f"{GPU}/max_freq", ""),
        (f"{GPU}/governor", "turbo"),
        (DLA, "1e9"),
        ("sys/devices/system/cpu/cpu3/online", "2"),
    ],
)
def test_what_makes_no_sense_is_einval_and_changes_nothing(opened: Opener, file: str, value: str) -> None:
    _, root = opened()
    before = (root / file).read_text()
    assert refused(root / file, value or "\n") == errno.EINVAL
    assert (root / file).read_text() == before


def test_the_zone_of_a_gated_gpu_answers_eagain(opened: Opener, model: Model) -> None:
    board, root = opened()
    zone = root / "sys/class/thermal/thermal_zone1"
    assert (zone / "type").read_text() == "gpu-thermal\n"
    descriptor = os.open(zone / "temp", os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        os.read(descriptor, 99)
    os.close(descriptor)
    assert text(zone / "temp") == ""
    assert "gpu-thermal_c" not in board.sweep()
    session = board.target("gpu").load(model, "fp16")
    session.warm(model.inputs)
    session.run(model.inputs[0])
    assert board.sweep()["gpu-thermal_c"] == board.sweep()["tj-thermal_c"]


def test_a_cluster_that_is_off_is_busy_and_its_clock_is_nobodys(opened: Opener) -> None:
    board, root = opened()
    board.tune("cores_on", "4")
    assert (root / "sys/devices/system/cpu/online").read_text() == "0,1,2,3\n"
    assert refused(root / POLICY.format(4) / "scaling_max_freq", "960000") == errno.EBUSY
    with pytest.raises(OSError, match="busy"):
        (root / POLICY.format(8) / "scaling_governor").read_text()
    assert board.set(Setting("cpu", 960e6)).frequency_hz == 960e6
    assert board.standing().strayed == ()
    board.restore()
    assert number(root / POLICY.format(4) / "scaling_max_freq") == 2201600


def test_writes_move_the_processors_and_the_truth_with_them(opened: Opener, model: Model) -> None:
    board, root = opened()
    session = board.target("gpu").load(model, "fp16")
    session.warm(model.inputs)
    free = latency_s(board, model, Action("gpu", "fp16"))
    (root / GPU / "max_freq").write_text("306000000")  # by anybody
    slow = latency_s(board, model, Action("gpu", "fp16"))
    assert slow > 1.5 * free
    assert slow == latency_s(board, model, Action("gpu", "fp16", 306e6))
    taken = [session.run(model.inputs[0]) for _ in range(9)]
    middle_s = sorted(result.end_ns - result.start_ns for result in taken)[4] * 1e-9
    assert middle_s == pytest.approx(slow, rel=0.05)


def test_a_governor_decides_where_limits_leave_it_open(opened: Opener, model: Model) -> None:
    board, root = opened()
    board.know(model)
    current = root / POLICY.format(4) / "scaling_cur_freq"
    assert number(current) == 729600  # nothing runs
    board.tune("governor", "performance")
    assert number(current) == 2201600
    fast = latency_s(board, model, Action("cpu", "fp32"))
    board.tune("governor", "powersave")
    assert latency_s(board, model, Action("cpu", "fp32")) > 2.5 * fast
    assert latency_s(board, model, Action("cpu", "fp32")) == latency_s(board, model, Action("cpu", "fp32", 729.6e6))


def test_fewer_cores_and_a_slower_memory_are_felt(opened: Opener, model: Model) -> None:
    board, _ = opened()
    board.know(model)
    action = Action("cpu", "fp32", 1497.6e6)
    whole, busy = latency_s(board, model, action), Action("gpu", "fp16", 1300.5e6)
    gpu = latency_s(board, model, busy)
    board.tune("cores_on", "8")
    assert latency_s(board, model, action) == pytest.approx(whole, rel=0.02)
    board.tune("cores_on", "4")
    assert latency_s(board, model, action) == pytest.approx(2 * whole, rel=0.1)
    board.co_run(CoRun(0.9, 0.0))
    assert latency_s(board, model, action) > 2.3 * whole
    board.restore()
    board.tune("emc", "666e6")
    assert latency_s(board, model, busy) > 1.2 * gpu
    assert latency_s(board, model, action) == pytest.approx(whole, rel=0.3)


def test_a_power_mode_is_entered_through_nvpmodel_and_left_again(opened: Opener) -> None:
    board, root = opened(power_mode="15W")
    held = board.standing().held
    assert (held["power_mode"], held["cores_on"]) == ("MODE_15W", 4)
    assert held["caps_hz"] == {"emc": 2133e6, "dla0": 614.4e6, "dla1": 614.4e6}
    steps = board.identify().frequencies_hz
    assert (steps["cpu"][-1], steps["gpu"][-1], steps["dla0"]) == (1113.6e6, 408e6, (614.4e6,))
    asked = subprocess.run([root / "usr/sbin/nvpmodel", "-q"], capture_output=True, text=True, check=True)
    assert asked.stdout == "NV Power Mode: MODE_15W\n1\n"
    board.tune("power_mode", "maxn")
    assert board.standing().held["cores_on"] == 12
    board.restore()
    assert board.standing().held["power_mode"] == "MAXN"
    assert board.standing().held["caps_hz"] == {"emc": None, "dla0": 1600e6, "dla1": 1600e6}
    wrong = subprocess.run([root / "usr/sbin/nvpmodel", "-m", "9"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (1, "NVPM ERROR: invalid mode!\n")
    with pytest.raises(ControlRefused, match="power mode '10W' does not exist on this board"):
        board.tune("power_mode", "10W")


def test_somebody_elses_write_is_told(opened: Opener) -> None:
    board, root = opened()
    board.set(Setting("gpu", 612e6))
    (root / GPU / "max_freq").write_text("1224000000")
    assert board.standing().strayed == ("gpu: limits are 612 MHz to 1224 MHz, 612 MHz asked",)


def test_a_pi_answers_vcgencmd(opened: Opener) -> None:
    board, root = opened("raspberry-pi-5")
    board.set(Setting("cpu", 1.8e9))
    standing = board.standing()
    assert standing.readings["cpu_measured_hz"] == 1.8e9
    assert (standing.throttling, standing.strayed) == ((), ())
    other = subprocess.run([root / "usr/bin/vcgencmd", "commands"], capture_output=True, text=True, check=False)
    assert (other.returncode, other.stdout) == (255, 'error=1 error_msg="Command not registered"\n')


def test_a_throttling_board_tags_the_trial(opened: Opener) -> None:
    board, _ = opened(ambient_c=90.0)
    footing = Footing(board)
    footing.take(Action("gpu", "fp16", 1300.5e6))
    told, strayed = footing.leave()
    assert told["throttled"] is True
    assert told["frequency_hz"] == 612e6
    assert told["switch_s"] > 0
    assert (told["board"]["asked"], told["board"]["held"]["limits_hz"]["gpu"]) == ({"gpu": 1300.5e6}, [1300.5e6] * 2)
    assert strayed == [
        "gpu: runs at 612 MHz, 1300.5 MHz asked",
        "throttled: cpu-throttle-alert",
        "throttled: gpu-throttle-alert",
    ]


def test_a_hot_pi_is_measured_slower_than_asked(opened: Opener) -> None:
    board, _ = opened("raspberry-pi-5", ambient_c=90.0)
    board.set(Setting("cpu", 2.4e9))
    standing = board.standing()
    assert standing.throttling == ("throttled",)
    assert "cpu: measured at 1500 MHz, 2400 MHz asked" in standing.strayed


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse")
def test_a_library_that_is_gone_is_named_and_clocks_are_set_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSE_LIBRARY_PATH", str(tmp_path / "libfuse3.so"))
    with open_board({"profile": "raspberry-pi-5", "supply": str(tmp_path / "supply"), "seed": 3}) as board:
        (label,) = board.identify().labels
        if "fusermount3" in label:
            pytest.skip(label)
        assert label.startswith("clocks set without files: they cannot be mounted (OSError: ")
        assert label.endswith("; sudo apt-get install fuse3, or allow mounts")
        assert board.set(Setting("cpu", 1.8e9)).frequency_hz == 1.8e9
    assert [path.name for path in tmp_path.iterdir()] == ["supply"]


HOLD = """
import sys
from testbed.agent.contract import Setting
from testbed.virtual.board import open_board
with open_board({"profile": "jetson-agx-orin", "supply": sys.argv[1], "seed": 3}) as board:
    board.set(Setting("gpu", 612e6))
    print(*board.identify().labels, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("victim", ["the board", "who serves its files"])
def test_a_kill_leaves_no_mount(tmp_path: Path, victim: str) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "supply")]
    with (
        open("/proc/self/mounts") as table,  # noqa: PTH123 - it is polled
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as board,
    ):
        assert board.stdout is not None
        if label := board.stdout.readline().strip():
            board.kill()
            pytest.skip(label)
        assert len(mounts(tmp_path)) == 1
        killed = board.pid if victim == "the board" else server_of(board.pid)
        watch = select.poll()
        watch.register(table, select.POLLPRI | select.POLLERR)
        watch.poll(0)  # what has changed so far
        os.kill(killed, signal.SIGKILL)
        while mounts(tmp_path):
            assert watch.poll(SHORT_S * 1000), "the mount stays"
        board.kill()


def server_of(process: int) -> int:
    """The child of the shell that keeps the mount."""
    (keeper,) = (child for child in children(process) if b"tree.serve" in Path(f"/proc/{child}/cmdline").read_bytes())
    return children(keeper)[0]


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
