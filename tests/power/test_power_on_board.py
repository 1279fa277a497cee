"""What holds for every meter on a board: how its sampler lives, falls behind and dies."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from power import (
    BoardUnreachable,
    MonitorGone,
    MonitorSilent,
    OnBoard,
    PiPmic,
    Place,
    Rapl,
    Recorder,
    Unintelligible,
)
from tests.power.trees import put_all

S = 1_000_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    zone = {"name": "package-0", "max_energy_range_uj": 10**12, "energy_uj": 5}
    put_all(tmp_path / "sys/class/powercap/intel-rapl:0", zone)
    return tmp_path


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], Place]:
    """A place whose interpreter first does what a line of shell says, and leaves its process number behind."""

    def make(first: str = ":") -> Place:
        path = tmp_path / "python"
        path.write_text(f'#!/bin/sh\necho $$ > {tmp_path}/pid\n{first}\nexec {sys.executable} "$@"\n')
        path.chmod(0o755)
        return Place(python=str(path))

    return make


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def pid_of(root: Path) -> int:
    return int((root / "pid").read_text())


def meter(root: Path, place: Place | None = None) -> OnBoard:
    return OnBoard(Rapl(rate_hz=200.0, root=root), rate_hz=200.0, place=place)


def test_a_sampler_that_dies_is_gone_and_can_be_started_again(root: Path, python: Callable[..., Place]) -> None:
    monitor = meter(root, python())
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        os.kill(pid_of(root), signal.SIGKILL)
        with pytest.raises(MonitorGone, match="the sampler on local ended"):
            recorder.wait_until(time.monotonic_ns() + 60 * S, timeout_s=20.0)
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)


def test_a_sampler_that_falls_silent_is_told_from_one_that_is_gone(root: Path, python: Callable[..., Place]) -> None:
    with Recorder(meter(root, python())) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        with stopped(pid_of(root)), pytest.raises(MonitorSilent, match="has sent no sample for"):
            recorder.wait_until(time.monotonic_ns() + 60 * S, timeout_s=20.0)


def test_sweeps_that_were_not_made_stay_gaps(root: Path, python: Callable[..., Place]) -> None:
    monitor = meter(root, python())
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        held_ns = time.monotonic_ns()
        with stopped(pid_of(root)), suppress(MonitorSilent):
            recorder.wait_until(held_ns + 60 * S, timeout_s=0.3)
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        samples = recorder.since(held_ns - S // 2)
    gap = int(np.argmax(np.diff(samples.index)))
    lost, hole_ns = int(np.diff(samples.index)[gap]), int(np.diff(samples.time_ns)[gap])
    assert hole_ns > 0.2 * S
    assert lost == pytest.approx(hole_ns * 1e-9 * monitor.spec.rate_hz, abs=4)


def test_a_board_too_slow_for_the_rate_says_so_and_keeps_what_it_can(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "vcgencmd").write_text(
        "#!/bin/sh\necho ' X_A current(0)=1.0A'; echo ' X_V volt(1)=2.0V'; exec sleep 0.01\n"
    )
    (root / "vcgencmd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{root}:{os.environ['PATH']}")
    monitor = OnBoard(PiPmic(), rate_hz=1000.0)
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns() + S // 2, timeout_s=20.0)
        samples = recorder.since(0)
    assert "too slow" in caplog.text
    assert monitor.spec.rate_hz < 100.0
    assert monitor.spec.shortest_window_s == pytest.approx(25 / monitor.spec.rate_hz)
    assert len(samples) > 0.8 * (samples.index[-1] - samples.index[0])
    assert samples.power_w == pytest.approx(2.0)


def test_its_clock_is_the_boards_on_ours(root: Path) -> None:
    monitor = meter(root)
    with pytest.raises(MonitorSilent, match="before its first samples"):
        _ = monitor.clock
    with Recorder(monitor) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        fit = monitor.clock
    # The same machine at both ends: the two clocks are one.
    assert abs(fit.device_ns - fit.controller_ns) * 1e-9 < 10 * fit.standard_uncertainty_s
    assert fit.standard_uncertainty_s < 5e-3


def test_a_sampler_ends_with_its_stdin(root: Path) -> None:
    program = files("power").joinpath("sampler.py").read_text()
    requests = '["find", ["/proc/version"]]\n["read", [["file", "/nowhere"]]]\n'
    done = subprocess.run([sys.executable, "-c", program], input=requests, capture_output=True, text=True, timeout=20)
    ready, found, fault = done.stdout.splitlines()
    assert ready.startswith('["ready",')
    assert found == '["found",["/proc/version"]]'
    assert fault == '["fault","/nowhere",2,"No such file or directory"]'
    assert (done.returncode, done.stderr) == (0, "")


def test_its_program_is_one_that_python_3_8_reads() -> None:
    ast.parse(files("power").joinpath("sampler.py").read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("python_there", ["/nowhere/python", "/bin/false"])
def test_a_place_without_python_is_unreachable(root: Path, python_there: str) -> None:
    with pytest.raises(BoardUnreachable, match=r"/nowhere/python: No such file|is /bin/false there"):
        meter(root, Place(python=python_there)).open()


def test_a_shell_that_talks_is_named(root: Path, python: Callable[..., Place]) -> None:
    with pytest.raises(Unintelligible, match=r"b'Welcome!' is no answer.*start-up file of the shell"):
        meter(root, python("echo Welcome!")).open()


def test_the_last_words_of_a_broken_interpreter_are_passed_on(root: Path, python: Callable[..., Place]) -> None:
    with pytest.raises(BoardUnreachable, match="no space left"):
        meter(root, python("echo no space left >&2; exit 1")).open()


def test_a_meter_that_is_closed_says_so(root: Path) -> None:
    monitor = meter(root)
    monitor.close()
    for call in (monitor.read, monitor.start, monitor.stop):
        with pytest.raises(MonitorSilent, match="is not open"):
            call()


def test_a_rate_must_be_positive(root: Path) -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        OnBoard(Rapl(rate_hz=1.0, root=root), rate_hz=0.0)
