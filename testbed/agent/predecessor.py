"""Ends the agent that served before, where it outlived the connection to its controller.

Two at once would spoil each other's trials, and hold each other's lines and leases. Standard library only.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PATIENCE_S = 5.0
"""for each way to end it; unwinding gives clocks, co-runners and the network back"""
_LOOK_S = 0.01


class StillThere(Exception):
    """It cannot be ended, not even by SIGKILL: it hangs in the kernel."""


def whoami() -> tuple[int, int, str]:
    """Tells this process from any other of this machine: its number, when it started (in clock ticks), the boot."""
    started = _started(os.getpid())
    assert started is not None
    return os.getpid(), started, _boot()


def end(process: Sequence[int | str]) -> None:
    """Have that process unwind, or kill it; returns when it is gone. Raises StillThere."""
    number, started, boot = int(process[0]), process[1], process[2]
    for signals in ((signal.SIGINT, signal.SIGCONT), (signal.SIGKILL,)):  # one that was stopped must go on to unwind
        deadline_s = time.monotonic() + PATIENCE_S
        if boot != _boot() or _started(number) != started:
            return
        for each in signals:
            with suppress(ProcessLookupError):
                os.kill(number, each)
        while _started(number) == started:
            if time.monotonic() > deadline_s:
                break
            time.sleep(_LOOK_S)
        else:
            return
    raise StillThere(f"the agent before (process {number}) hangs in the kernel: the board must be restarted")


def _started(number: int) -> int | None:
    """When that process started; None where it is gone, or dead and not yet buried."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])  # proc(5): fields 3 and 22


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
