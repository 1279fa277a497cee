"""How a server is run as a program: one ready line, then until its parent lets go."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from types import FrameType

from testbed.serve.server import InferenceServer


def run(server: InferenceServer) -> None:
    """Serve until stdin ends or SIGTERM comes; print `{"url": ...}` as one line once the server answers.

    A parent that dies closes the pipe, and takes the server with it.
    """
    signal.signal(signal.SIGTERM, _leave)
    woken, waker = socket.socketpair()
    with woken, waker:
        # A signal that comes just before a blocking read would wait for the read to end: watch for it beside stdin.
        waker.setblocking(False)
        previous = signal.set_wakeup_fd(waker.fileno())
        try:
            with server:
                print(json.dumps({"url": server.url}), flush=True)  # noqa: T201 - the ready line
                _wait_for_end(sys.stdin.fileno(), woken)
        except KeyboardInterrupt:
            return
        finally:
            signal.set_wakeup_fd(previous)


def _wait_for_end(stdin: int, woken: socket.socket) -> None:
    """Returns when stdin ends. Signals are handled in between, as soon as they come."""
    while True:
        readable, _, _ = select.select([stdin, woken.fileno()], [], [])
        if woken.fileno() in readable:
            woken.recv(4096)
        if stdin in readable and not os.read(stdin, 4096):
            return


def _leave(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def named(argument: str) -> tuple[str, str]:
    """Split a `name=value` of the command line. Raises ValueError, which argparse turns into its message."""
    name, equals, value = argument.partition("=")
    if not (name and equals and value):
        raise ValueError(argument)
    return name, value
