"""Co-runners on a real board: this host, with stress-ng and programs of its own. Small loads: others use it too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scheduler.contract import Action
from testbed.agent.agent import Agent
from testbed.agent.boards.real import RealBoard
from testbed.agent.contract import CoRun
from testbed.agent.control.files import ControlRefused
from testbed.agent.corunner import LAUNCH, CoRunner, CoRunnerEnded
from testbed.agent.footing import Footing
from testbed.agent.life import SignsOfLife
from testbed.agent.store import ModelStore
from tests.testbed.boards import trees
from tests.testbed.boards.conftest import Opener

needs_stress_ng = pytest.mark.skipif(shutil.which("stress-ng") is None, reason="stress-ng is not installed")
CORE = min(os.sched_getaffinity(0))
BUSY = CoRun(0.0, 0.0, command=(sys.executable, "-c", "while True: pass"))
WAITING = CoRun(0.0, 0.0, command=("sleep", "1000"))


@pytest.fixture
def board(root: Path, opened: Opener) -> RealBoard:
    trees.host(root)
    return opened("linux")


def members(leader: int) -> dict[int, list[str]]:
    """Command lines of a process group's members that live."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == leader and fields[0] not in "ZX":
                found[int(entry.name)] = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
    return found


def leader_of(board: RealBoard) -> int:
    leader = board._co_runner.leader
    assert leader is not None
    return leader


def await_end(process: int) -> None:
    """Of a child, which is left to be waited for."""
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)


@needs_stress_ng
def test_stress_ng_makes_the_load_asked_for_pinned_and_niced_and_ends(board: RealBoard, leases: Path) -> None:
    found = board.co_run(CoRun(cpu=0.2, memory=0.0, cores=(CORE,), nice=19))
    words = " ".join(found.program)
    assert "stress-ng" in words
    assert "--cpu 1 --cpu-load 20" in words
    assert "--memrate" not in words
    assert found.cpu > 0.0
    leader = leader_of(board)
    group = members(leader)
    assert len(group) > 1
    assert {os.getpriority(os.PRIO_PROCESS, process) for process in group} == {19}
    assert all(os.sched_getaffinity(process) == {CORE} for process in group)
    assert "end-group" in "".join(lease.read_text() for lease in leases.iterdir())
    assert board.co_run(None).program == ()
    assert not members(leader)
    assert not [*leases.iterdir()]


@needs_stress_ng
def test_memory_is_a_share_of_what_copies_reach(board: RealBoard) -> None:
    found = board.co_run(CoRun(cpu=0.0, memory=0.05, cores=(CORE,)))
    words = list(found.program)
    assert found.full_memory_bytes_per_s is not None
    asked_bytes_per_s = 1e6 * float(words[words.index("--memrate-rd-mbs") + 1])
    assert asked_bytes_per_s == pytest.approx(0.05 * found.full_memory_bytes_per_s, rel=0.05, abs=1e6)
    assert words[words.index("--memrate-wr-mbs") + 1] == words[words.index("--memrate-rd-mbs") + 1]
    assert "--cpu" not in words


def test_the_same_co_runner_goes_on_and_is_looked_at_again_another_takes_its_place(board: RealBoard) -> None:
    board.co_run(BUSY)
    first = leader_of(board)
    assert board.co_run(BUSY).cpu > 0.0
    assert leader_of(board) == first
    assert board.co_run(WAITING).cpu < 0.5
    assert leader_of(board) != first
    assert not members(first)


def test_one_that_is_too_weak_is_told_of(board: RealBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stress-ng that only sleeps."""
    (tmp_path / "bin").mkdir()
    lame = tmp_path / "bin/stress-ng"
    lame.write_text("#!/bin/sh\nexec sleep 1000\n")
    lame.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    assert board.co_run(CoRun(cpu=0.75, memory=0.0)).strayed == ("co-runner: 0% of its cores, 75% asked",)


def test_a_co_runner_that_dies_in_a_trial_tags_it_and_is_started_again_for_the_next(board: RealBoard) -> None:
    board.co_run(WAITING)
    footing = Footing(board)
    footing.take(Action("cpu", "fp32", None))
    dead = leader_of(board)
    os.kill(dead, signal.SIGKILL)
    await_end(dead)
    told, strayed = footing.leave()
    assert strayed == ["the co-runner sleep ended"]
    assert told["board"]["before"]["co_runner_cpu"] < 0.5
    board.co_run(WAITING)
    assert leader_of(board) != dead
    assert board.standing().strayed == ()


def test_what_a_program_said_before_it_ended_is_told(board: RealBoard) -> None:
    with pytest.raises(CoRunnerEnded, match=r"the co-runner sh ended: no such device"):
        board.co_run(CoRun(0.0, 0.0, command=("sh", "-c", "echo no such device >&2; exit 3")))
    with pytest.raises(CoRunnerEnded, match=r"'no-such-player' is no program on the board"):
        board.co_run(CoRun(0.0, 0.0, command=("no-such-player",)))


def test_what_cannot_run_is_known_before(board: RealBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(board, ModelStore(tmp_path / "models"), SignsOfLife())
    monkeypatch.setenv("PATH", str(tmp_path))
    loads = [{"cpu": 0.5}, {"command": [sys.executable], "cores": [4096]}, {"command": [sys.executable]}]
    missing, no_core, fine = agent.cannot_co_run(loads)
    assert missing == ("stress-ng is not installed on the board; install it with: sudo apt-get install stress-ng")
    assert no_core.startswith("the board has no core 4096 to run on: it has ")
    assert fine == ""


def test_no_program_begins_before_there_is_somebody_to_end_it(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def unwatched(leader: int) -> None:
        raise ControlRefused("there is no guard")

    with pytest.raises(ControlRefused):
        CoRunner(unwatched).start(CoRun(0.0, 0.0, command=("touch", str(begun))))
    launcher = subprocess.run(
        [sys.executable, "-c", LAUNCH, "0", "", "touch", str(begun)], stdin=subprocess.DEVNULL, check=False
    )
    assert launcher.returncode == 1  # its agent went
    assert not begun.exists()


def test_its_cpu_time_counts_as_that_of_others_and_not_as_the_agents(tmp_path: Path, opened: Opener) -> None:
    board = opened("linux", root="/", leases=str(tmp_path / "leases"))
    board.co_run(BUSY)
    until_s = time.thread_time() + 0.05  # this process is busy too
    while time.thread_time() < until_s:
        pass
    board.co_run(None)
    assert board.observe().co_cpu > 0.0
