"""The guard: puts back what leases say as soon as whoever started it is gone, or silent for too long.

`python -m testbed.agent.guard watch`, with the line of `guard.Guard` as stdin. `python -m testbed.agent.guard sweep`
puts back what holders left that died together with their guards.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from testbed.agent.guard.guard import ADD, DONE, DROP
from testbed.agent.guard.lease import Lease, LeaseError, sweep

SILENCE_S = 2.0
_MESSAGE_BYTES = 4096


def watch(line: socket.socket) -> int:
    """Returns when all is put back; 1 where something could not be."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leases: dict[bytes, Lease] = {}
    try:
        _listen(line, leases)
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        troubles = [trouble for lease in leases.values() if (trouble := _put_back(lease))]
    for trouble in troubles:
        print(trouble, file=sys.stderr)  # noqa: T201 - nobody else is there to tell
    return 1 if troubles else 0


def _listen(line: socket.socket, leases: dict[bytes, Lease]) -> None:
    """Until the holder is gone or silent. What was put in charge last comes first: it is put back first."""
    line.settimeout(SILENCE_S)
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(line, _MESSAGE_BYTES, 1)
        except OSError:
            return
        if not message:
            return
        what, path = message[:1], message[1:]
        if what == ADD:
            others = dict(leases)
            leases.clear()
            leases.update({path: Lease(Path(os.fsdecode(path)), descriptors[0])} | others)
            line.send(DONE)
        elif what == DROP:
            if path in leases:
                os.close(leases.pop(path).descriptor)
            line.send(DONE)


def _put_back(lease: Lease) -> str | None:
    try:
        lease.put_back()
    except LeaseError as error:
        return str(error)
    finally:
        lease.close()
    return None


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if arguments == ["sweep"]:
        for told in sweep():
            print(told)  # noqa: T201 - a command's output
        return 0
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as line:
        return watch(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
