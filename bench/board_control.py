"""What looking at a board and setting it costs: a sweep of its sensors beside jtop's way, a change of frequency, and
what a thread that samples would do to an inference of 1 ms.

jtop's way: psutil for CPU and memory, every sysfs file opened anew for each value (jetson-stats, jtop/core). The tree
is an Orin's, on a temporary file system: its files answer sooner than a kernel's sensors would.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from bench.figure import Figure
from testbed.agent.boards.jetson import open_board
from testbed.agent.boards.real import RealBoard
from testbed.agent.contract import Setting
from testbed.virtual.board import open_board as virtual_board
from tests.testbed.boards import trees

SECONDS = 3.0
"""of each sampling"""
CHANGES = 400
LOOPS = 800
"""inferences timed under each way of sampling"""
GPU_HZ = (408e6, 612e6)


def figures() -> list[Figure]:
    """CPU shares, times of changes, and jitters."""
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        root = trees.orin_jp6(Path(folder) / "root")
        with open_board({"root": root, "leases": folder, "threads": 1}) as board:
            files = [path for path in root.rglob("*") if _is_sensor(path)]
            return [*_sampling(board, files), *_changes(board), *_virtual(Path(folder)), *_jitter(board, files)]


def _is_sensor(path: Path) -> bool:
    return path.is_file() and path.name in ("scaling_cur_freq", "cur_freq", "load", "temp")


def _sampling(board: RealBoard, files: list[Path]) -> list[Figure]:
    found = []
    for rate_hz in (10.0, 100.0):
        ours = _cpu_share(board.sweep, rate_hz)
        theirs = _cpu_share(lambda: _as_jtop(files), rate_hz)
        how = f"{SECONDS:g} s each in one run, process CPU time of one core; an Orin's tree of {len(files)} files"
        name = f"telemetry at {rate_hz:g} Hz"
        found.append(Figure(f"{name}: CPU", ours * 100, "%", f"jtop's way {theirs * 100:.2g} %", None, None, how))
        found.append(Figure(f"{name}: jtop takes", theirs / ours, "times", None, ">= 1.5", theirs >= 1.5 * ours, how))
    return found


def _as_jtop(files: list[Path]) -> None:
    psutil.cpu_times_percent(percpu=True)
    psutil.virtual_memory()
    for path in files:
        path.read_text()


def _cpu_share(sample: Callable[[], object], rate_hz: float) -> float:
    """Of one core."""
    sample()
    begun_s, used_s = time.monotonic(), time.process_time()
    for i in range(round(SECONDS * rate_hz)):
        time.sleep(max(0.0, begun_s + i / rate_hz - time.monotonic()))
        sample()
    return (time.process_time() - used_s) / SECONDS


def _changes(board: RealBoard) -> list[Figure]:
    taken_us = [_taken_us(partial(board.set, Setting("gpu", GPU_HZ[i % 2]))) for i in range(CHANGES)]
    begun_ns = time.perf_counter_ns()
    for _ in range(100):
        board.standing()
    looking_us = (time.perf_counter_ns() - begun_ns) * 1e-5
    board.restore()
    how = f"median of {CHANGES - 1} changes of an Orin's GPU through its tree, both limits written and read back"
    looked = "mean of 100: everything read back, before and after each trial, never within"
    return [
        Figure("frequency change", median(taken_us[1:]), "us", None, None, None, how),
        Figure("frequency change, 99 %", float(np.percentile(taken_us[1:], 99)), "us", None, None, None, how),
        Figure("a look at the board", looking_us, "us", None, None, None, looked),
    ]


def _virtual(folder: Path) -> list[Figure]:
    """The same on a virtual Orin, whose tree another process serves through FUSE."""
    how = f"median of {CHANGES - 1} changes of a virtual Orin's GPU through its mounted files, both limits written"
    with virtual_board({"profile": "jetson-agx-orin", "supply": str(folder / "supply"), "seed": 1}) as board:
        if labels := board.identify().labels:
            return [Figure("frequency change, virtual board", None, "us", None, None, None, labels[0])]
        taken_us = [_taken_us(partial(board.set, Setting("gpu", GPU_HZ[i % 2]))) for i in range(CHANGES)]
        looking_us = median(_taken_us(board.standing) for _ in range(100))
    looked = "median of 100: everything read back, before and after each trial, never within"
    return [
        Figure("frequency change, virtual board", median(taken_us[1:]), "us", None, None, None, how),
        Figure("a look at a virtual board", looking_us, "us", None, None, None, looked),
    ]


def _taken_us(work: Callable[[], object]) -> float:
    begun_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - begun_ns) * 1e-3


def _jitter(board: RealBoard, files: list[Path]) -> list[Figure]:
    """The ways take turns, so that what else the machine does meets them all."""
    ways: dict[str, tuple[Callable[[], object] | None, float]] = {
        "none": (None, 1.0),
        "a thread at 10 Hz": (board.sweep, 10.0),
        "a thread at 100 Hz": (board.sweep, 100.0),
        "jtop's way at 100 Hz": (lambda: _as_jtop(files), 100.0),
    }
    work = _a_millisecond()
    late_us: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(4):
        for name, (sample, rate_hz) in ways.items():
            late_us[name] += _latencies_us(work, sample, rate_hz, LOOPS // 4)
    middle = median(late_us["none"])
    spread = {name: float(np.percentile(taken, 99)) - middle for name, taken in late_us.items()}
    how = f"99 % over the median of {LOOPS} inferences of about 1 ms, in turns; this testbed samples in none of them"
    return [Figure(f"jitter of 1 ms, {name}", us, "us", None, None, None, how) for name, us in spread.items()]


def _a_millisecond() -> Callable[[], object]:
    matrix = np.random.default_rng(1).random((160, 160), np.float32)

    def work(times: int) -> None:
        for _ in range(times):
            np.tanh(matrix)

    begun_s = time.perf_counter()
    work(50)
    times = max(1, round(50 * 1e-3 / (time.perf_counter() - begun_s)))
    return lambda: work(times)


def _latencies_us(
    work: Callable[[], object], sample: Callable[[], object] | None, rate_hz: float, count: int
) -> list[float]:
    enough = threading.Event()

    def keep_sampling(sample: Callable[[], object]) -> None:
        while not enough.wait(1.0 / rate_hz):
            sample()

    threads = [threading.Thread(target=keep_sampling, args=(sample,))] if sample is not None else []
    for thread in threads:
        thread.start()
    taken = []
    for _ in range(count):
        begun_ns = time.perf_counter_ns()
        work()
        taken.append((time.perf_counter_ns() - begun_ns) * 1e-3)
    enough.set()
    for thread in threads:
        thread.join()
    return taken
