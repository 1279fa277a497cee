"""Whatever becomes of the process that set a board, the board is as it was."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.agent.contract import Setting
from testbed.agent.control.files import ControlRefused
from testbed.agent.guard.lease import sweep
from tests.testbed.boards import trees
from tests.testbed.boards.conftest import Opener
from tests.testbed.boards.test_board_control import state

_HOLDER = """
import sys
from testbed.agent.boards.jetson import open_board
from testbed.agent.contract import CoRun, Setting
with open_board({"root": sys.argv[1], "leases": sys.argv[2], "owner": "the first", "power_mode": "15W"}) as board:
    board.set(Setting("gpu", 408e6))
    board.co_run(CoRun(0.0, 0.0, command=("sleep", "1000")))
    print(board._co_runner.leader, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(root: Path, leases: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process that has set the board, and its co-runners."""
    command = [sys.executable, "-c", _HOLDER, str(root), str(leases)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, [int(word) for word in process.stdout.readline().split()]
        finally:
            process.kill()


def await_release(leases: Path) -> None:
    """Blocks until nobody has a lease any more."""
    for path in leases.iterdir():
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)
        except FileNotFoundError:
            continue


@pytest.mark.parametrize("way", ["end", "SIGKILL", "SIGSTOP"])
def test_the_board_is_given_back_however_its_agent_goes(root: Path, leases: Path, way: str) -> None:
    before = state(trees.orin_jp6(root))
    with holder(root, leases) as (process, co_runners):
        assert state(root) != before
        assert co_runners
        if way == "end":
            assert process.stdin is not None
            process.stdin.close()
        else:
            os.kill(process.pid, getattr(signal, way))
        if way == "SIGSTOP":
            # The lease's lock is held by the stopped process too: the guard throws the file away when it is done.
            while [*leases.iterdir()]:
                pass
        else:
            process.wait()
            await_release(leases)
        assert state(root) == before
        assert not [co_runner for co_runner in co_runners if runs(co_runner)]
    assert not [*leases.iterdir()]


def test_what_agent_and_guard_both_left_is_put_back_by_a_sweep_or_the_next(
    root: Path, leases: Path, opened: Opener
) -> None:
    before = state(trees.orin_jp6(root))
    for next_one in (False, True):
        with holder(root, leases) as (process, co_runners):
            for guard in guards_of(process.pid):
                os.kill(guard, signal.SIGKILL)
            process.kill()
            process.wait()
        assert state(root) != before
        if next_one:
            opened("jetson").set(Setting("cpu", 2201.6e6))  # which only the mode before offers
        else:
            assert all(": put back what the first on " in line for line in sweep(leases))
            assert state(root) == before
        for co_runner in co_runners:
            while runs(co_runner):  # until it has died of what was sent to it
                pass


def test_a_second_agent_is_refused_with_the_firsts_name(root: Path, leases: Path, opened: Opener) -> None:
    trees.orin_jp6(root)
    with (
        holder(root, leases) as (process, _),
        pytest.raises(ControlRefused, match=rf"the board is in use by the first on .* \(process {process.pid}\)"),
    ):
        opened("jetson").set(Setting("gpu", 612e6))


def test_an_agent_whose_guard_is_gone_is_told(root: Path, opened: Opener) -> None:
    before = state(trees.orin_jp6(root))
    board = opened("jetson")
    board.set(Setting("gpu", 612e6))
    for guard in guards_of(os.getpid()):
        os.kill(guard, signal.SIGKILL)
        os.waitid(os.P_PID, guard, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ControlRefused, match="the board was given back: the guard is gone"):
        board.set(Setting("gpu", 408e6))
    board.restore()
    assert state(root) == before


def guards_of(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
            ppid = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if "testbed.agent.guard" in command and ppid == parent:
            found.append(int(process.name))
    assert found
    return found


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
