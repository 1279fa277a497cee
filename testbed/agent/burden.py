"""A known load on a real board: so many cores busy for a share of the time, each worker pinned to a core of its own."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.agent.contract import Burden

_WORKER = """
import json, os, sys, time
core, share = int(sys.argv[1]), float(sys.argv[2])
os.sched_setaffinity(0, {core})
print("ready", flush=True)
begin_ns, end_ns = json.loads(sys.stdin.readline())
time.sleep(max(0.0, (begin_ns - time.monotonic_ns()) * 1e-9))
period_ns = 10_000_000
before_s = time.process_time()
at_ns = begin_ns
while at_ns < end_ns:
    at_ns = min(at_ns + period_ns, end_ns)
    due_s = before_s + share * (at_ns - begin_ns) * 1e-9  # what a late start of a period cost is made up for
    while time.process_time() < due_s and time.monotonic_ns() < end_ns:
        pass
    time.sleep(max(0.0, (at_ns - time.monotonic_ns()) * 1e-9))
print(json.dumps(time.process_time() - before_s), flush=True)
"""
_PATIENCE_S = 10.0
"""for a worker to start, and to tell after its end how much it worked"""
LEAST_SHARE = 0.9
"""of the load asked for that must have been there"""


class LoadFailed(Exception):
    """The workers did not load the board as asked."""


def cores() -> list[int]:
    """Those this process may use."""
    return sorted(os.sched_getaffinity(0))


def carry(count: int, utilisation: float, idle_s: float, duration_s: float) -> Burden:
    """Make the workers ready, idle for `idle_s`, then keep them busy. Raises LoadFailed.

    The utilisation returned is what they had of their cores, by the kernel's own account.
    """
    there = cores()
    if count > len(there):
        raise LoadFailed(f"{count} cores were to be loaded, and the agent may use {len(there)}")
    with _workers(there[:count], utilisation) as workers:
        for worker in workers:
            _line(worker, _PATIENCE_S)
        begin_ns = time.monotonic_ns() + round(idle_s * 1e9)
        end_ns = begin_ns + round(duration_s * 1e9)
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(json.dumps([begin_ns, end_ns]).encode() + b"\n")
            worker.stdin.flush()
        patience_s = idle_s + duration_s + _PATIENCE_S
        used_s = [float(json.loads(_line(worker, patience_s))) for worker in workers]
    reached = sum(used_s) / (count * duration_s) if count else 0.0
    if reached < LEAST_SHARE * utilisation:
        raise LoadFailed(
            f"{count} workers were to be busy for {utilisation:.0%} of the time and were for {reached:.0%}: "
            "something else runs on the board"
        )
    return Burden(begin_ns, end_ns, min(1.0, reached))


@contextmanager
def _workers(on: list[int], utilisation: float) -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    try:
        for core in on:
            command = [sys.executable, "-E", "-S", "-c", _WORKER, str(core), str(utilisation)]
            started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        yield started
    except BrokenPipeError:
        raise LoadFailed("a load worker ended before its time; look at the board's memory and its log") from None
    finally:
        for worker in started:
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()


def _line(worker: subprocess.Popen[bytes], patience_s: float) -> bytes:
    assert worker.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(worker.stdout, selectors.EVENT_READ)
        line = worker.stdout.readline() if selector.select(patience_s) else b""
    if not line:
        raise LoadFailed("a load worker ended before its time, or hangs; look at the board's memory and its log")
    return line
