"""The guard: puts back what a lease says as soon as whoever started it is gone, or silent for too long.

`python -m testbed.agent.guard LEASE DESCRIPTOR`, with a pipe as stdin on which any byte is a sign of life; prints
"ready". `python -m testbed.agent.guard sweep` puts back what holders left that died together with their guards.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from testbed.agent.guard.lease import Lease, LeaseError, sweep

SILENCE_S = 2.0


def watch(lease: Lease) -> int:
    """Returns when all is put back; 1 where something could not be."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        print("ready", flush=True)  # noqa: T201 - whoever started this waits for the line
        _listen()
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        try:
            lease.put_back()
        except LeaseError as error:
            print(error, file=sys.stderr)  # noqa: T201 - nobody else is there to tell
            return 1
    return 0


def _listen() -> None:
    deadline_s = time.monotonic() + SILENCE_S
    while (left_s := deadline_s - time.monotonic()) > 0:
        if select.select([sys.stdin.fileno()], [], [], left_s)[0]:
            if not os.read(sys.stdin.fileno(), 4096):
                return
            deadline_s = time.monotonic() + SILENCE_S


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if arguments == ["sweep"]:
        for line in sweep():
            print(line)  # noqa: T201 - a command's output
        return 0
    path, descriptor = arguments
    return watch(Lease(Path(path), int(descriptor)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
