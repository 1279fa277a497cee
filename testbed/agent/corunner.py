"""The load that interferes, on a real board: stress-ng, or a program that the suite names.

`--cpu N --cpu-load P` keeps N workers busy P % of the time; `--memrate N` has N more read and write a buffer, as many
MB a second as `--memrate-rd-mbs` and `--memrate-wr-mbs` allow each (stress-ng(1) of 0.15; of older ones unconfirmed).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from testbed.agent.bandwidth import copy_bytes_per_s
from testbed.agent.contract import CoRun, CoRunning

TOLERANCE = 0.1
"""how far below the share asked for a co-runner may be measured"""
_STRESS = "stress-ng"
_METHOD = "matrixprod"
"""one of stress-ng's, as the default goes through all of them, each of another power: "a good mix of memory, cache and
floating point operations" that heats the CPU (stress-ng(1))"""
_BUFFER = "64M"
"""of each memory worker: beyond the last cache of the boards this is for"""
_LOOK_S = 0.25
_JUDGED_S = 1.0
"""the least time over which one that runs is judged again: the kernel counts CPU time in ticks of 10 ms"""
_READ_S = 0.05
"""the least time that a reading is of"""
_SETTLE_S = 2.0
"""bound on how long it may take to reach its share"""
_SAID_BYTES = 300

LAUNCH = """
import os, signal, sys
if not sys.stdin.buffer.read(1):
    sys.exit(1)
nice, cores, *command = sys.argv[1:]
doing = command[0]
try:
    if int(nice):
        doing = f"nice {nice}"
        os.setpriority(os.PRIO_PROCESS, 0, int(nice))
    if cores:
        doing = f"cores {cores}"
        os.sched_setaffinity(0, map(int, cores.split(",")))
    doing = command[0]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(command[0], command)
except OSError as error:
    sys.exit(f"{doing}: {error.strerror}")
"""
"""Waits for a byte before it becomes the program: without one its agent is gone, and no guard knows of it yet."""


class CoRunnerEnded(Exception):
    """It did not stay."""


class Usage:
    """Busy share of some cores, over spans of time that follow each other."""

    def __init__(self, used_s: Callable[[], float], cores: int) -> None:
        """`used_s` tells the CPU time used so far. The first span begins now."""
        self._used_s, self._cores = used_s, cores
        self._since = time.monotonic(), used_s()
        self._share = 0.0

    def share(self, least_s: float) -> float:
        """Of the span that ends now, 0..1; while it is shorter than `least_s`, of the one before it."""
        now = time.monotonic(), self._used_s()
        passed_s, used_s = (after - before for after, before in zip(now, self._since, strict=True))
        if passed_s >= least_s:
            self._since = now
            self._share = round(min(1.0, max(0.0, used_s / passed_s / self._cores)), 3)
        return self._share


class CoRunner:
    """At most one at a time, in a process group of its own."""

    def __init__(self, note: Callable[[int], None], proc: Path = Path("/proc")) -> None:
        """`note` is told the leader of the group before it begins, for who ends it when this process cannot."""
        self._note = note
        self._proc = proc
        self._process: subprocess.Popen[bytes] | None = None
        self._load: CoRun | None = None
        self._program: tuple[str, ...] = ()
        self._full_bytes_per_s: float | None = None
        self.ended_s = 0.0
        """CPU time, as this process's children, of co-runners that have ended"""

    @property
    def leader(self) -> int | None:
        """The first process of the group; None where none runs."""
        return self._process.pid if self._process else None

    def cannot(self, load: CoRun) -> str:
        """What keeps it from running here, and the cure; empty where nothing does."""
        if not load.command and shutil.which(_STRESS) is None:
            return f"{_STRESS} is not installed on the board; install it with: sudo apt-get install {_STRESS}"
        if load.command and shutil.which(load.command[0]) is None:
            return f"'{load.command[0]}' is no program on the board: install it there, or give its whole path"
        if missing := sorted(set(load.cores) - os.sched_getaffinity(0)):
            return f"the board has no core {missing[0]} to run on: it has {_listed(os.sched_getaffinity(0))}"
        return ""

    def runs(self, load: CoRun) -> bool:
        """Whether this very one runs."""
        return self._process is not None and load == self._load and not self._has_ended()

    def start(self, load: CoRun) -> CoRunning:
        """Replace what runs by this load. Raises CoRunnerEnded where it cannot run, or ends at once."""
        self.stop()
        if refusal := self.cannot(load):
            raise CoRunnerEnded(refusal)
        self._load, self._program = load, tuple(load.command) or self._stress(load)
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `stop` closes it
        cores = ",".join(map(str, load.cores))
        self._process = process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCH, str(load.nice), cores, *self._program],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            self._note(process.pid)
            process.stdin.write(b"!")
            process.stdin.close()
            return self._confirm(load)
        except BaseException:
            self.stop()
            raise

    def look(self, least_s: float = _JUDGED_S) -> CoRunning:
        """How it runs, over the time since the look before; as it did then, while that is shorter than `least_s`."""
        assert self._load is not None
        share = self._judged.share(least_s)
        short = self._load.cpu - share > TOLERANCE
        return CoRunning(
            cpu=share,
            program=self._program,
            full_memory_bytes_per_s=self._full_bytes_per_s if self._load.memory else None,
            strayed=(f"co-runner: {share:.0%} of its cores, {self._load.cpu:.0%} asked",) if short else (),
        )

    def share(self) -> float | None:
        """Of its cores, busy since this was asked before, 0..1; None where there is none."""
        return self._read.share(_READ_S) if self._process is not None else None

    def ended(self) -> str:
        """That it ended by itself, and what it said last; empty while it runs, or where none should."""
        if self._process is None or not self._has_ended():
            return ""
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, self._said.tell() - _SAID_BYTES))
        said = self._said.read().decode(errors="replace").strip().splitlines()
        return f"the co-runner {self._program[0]} ended" + (f": {said[-1]}" if said else "")

    def stop(self) -> None:
        """End it; safe to call twice."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Read before the wait: what has been waited for is gone.
        self.ended_s += _seconds(self._stat(process.pid), range(11, 15))
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._said.close()

    def _confirm(self, load: CoRun) -> CoRunning:
        cores = len(load.cores) or len(os.sched_getaffinity(0))
        self._judged, self._read = Usage(self._group_s, cores), Usage(self._group_s, cores)
        begun_s = time.monotonic()
        while True:
            time.sleep(_LOOK_S)
            found = self.look(_LOOK_S)
            if ended := self.ended():
                raise CoRunnerEnded(ended)
            if not found.strayed or time.monotonic() - begun_s > _SETTLE_S:
                return found

    def _stress(self, load: CoRun) -> tuple[str, ...]:
        workers = str(len(load.cores) or len(os.sched_getaffinity(0)))
        # Without a place of its own it insists on writing where the agent was started.
        words = [_STRESS, "--timeout", "0", "--temp-path", tempfile.gettempdir()]
        if load.cpu:
            words += ["--cpu", workers, "--cpu-load", f"{100 * load.cpu:.0f}", "--cpu-method", _METHOD]
        if load.memory:
            if self._full_bytes_per_s is None:
                self._full_bytes_per_s = copy_bytes_per_s(len(os.sched_getaffinity(0)))
            rate = str(max(1, round(load.memory * self._full_bytes_per_s / int(workers) / 1e6)))
            words += ["--memrate", workers, "--memrate-bytes", _BUFFER]
            words += ["--memrate-rd-mbs", rate, "--memrate-wr-mbs", rate]
        return tuple(words)

    def _has_ended(self) -> bool:
        # Not `poll`: who has been waited for leaves no CPU time to read.
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process is not None and os.waitid(os.P_PID, self._process.pid, how) is not None

    def _group_s(self) -> float:
        """CPU time of the group, its ended members included."""
        leader = self.leader
        total_s = 0.0
        for process in self._proc.glob("[0-9]*"):
            fields = self._stat(int(process.name))
            if len(fields) > 14 and int(fields[2]) == leader:
                total_s += _seconds(fields, range(11, 15 if int(process.name) == leader else 13))
        return total_s

    def _stat(self, process: int) -> list[str]:
        """proc(5), stat, from its third field on; empty where there is no such process."""
        try:
            return (self._proc / str(process) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []


def _seconds(fields: list[str], of: range) -> float:
    return sum(int(fields[i]) for i in of) / os.sysconf("SC_CLK_TCK")


def _listed(cores: set[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
