"""The load that interferes, on a real board: processes that keep cores and memory busy for a fraction of the time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from testbed.agent.contract import CoRun

_WORKER = """
import os, sys, threading, time
cpu, memory = float(sys.argv[1]), float(sys.argv[2])
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
block = bytearray(32 << 20) if memory else b""
period_s = 0.02
while True:
    begun = time.monotonic()
    while time.monotonic() < begun + memory * period_s:
        bytes(block)
    while time.monotonic() < begun + cpu * period_s:
        pass
    time.sleep(max(0.0, begun + period_s - time.monotonic()))
"""
_CONFIRM_S = 0.4


class CoRunner:
    """One worker a core. Workers end with the agent: each reads a pipe the agent holds open."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._workers: list[subprocess.Popen[bytes]] = []
        self.ended_s = 0.0
        """CPU time of workers that have ended"""

    @property
    def processes(self) -> tuple[int, ...]:
        """Of the workers that run; each leads a group of its own."""
        return tuple(worker.pid for worker in self._workers)

    def start(self, load: CoRun) -> CoRun:
        """Replace what runs by this load; returns the load its workers were seen to make."""
        self.stop()
        command = [sys.executable, "-c", _WORKER, str(max(load.cpu, load.memory)), str(load.memory)]
        for _ in range(os.cpu_count() or 1):
            self._workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))
        return self._confirm(load)

    def _confirm(self, load: CoRun) -> CoRun:
        begun_s, used_s = time.monotonic(), self._cpu_time_s()
        time.sleep(_CONFIRM_S)
        share = (self._cpu_time_s() - used_s) / (time.monotonic() - begun_s) / len(self._workers)
        if any(worker.poll() is not None for worker in self._workers):
            raise RuntimeError("a co-runner process ended at once; see the board's log")
        return CoRun(cpu=min(1.0, round(share, 3)), memory=load.memory)

    def _cpu_time_s(self) -> float:
        return sum(map(self._cpu_time_of, self._workers))

    def _cpu_time_of(self, worker: subprocess.Popen[bytes]) -> float:
        fields = (self._proc / str(worker.pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End every worker; safe to call twice."""
        while self._workers:
            worker = self._workers.pop()
            worker.kill()
            # Read before the wait: what has been waited for is gone.
            self.ended_s += self._cpu_time_of(worker)
            worker.wait()
            if worker.stdin is not None:
                worker.stdin.close()
