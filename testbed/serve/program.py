"""How a server is run as a program: one ready line, then until its parent lets go."""

from __future__ import annotations

import json
import signal
import sys
from types import FrameType

from testbed.serve.server import InferenceServer


def run(server: InferenceServer) -> None:
    """Serve until stdin ends or SIGTERM comes; print `{"url": ...}` as one line once the server answers.

    A parent that dies closes the pipe, and takes the server with it.
    """
    signal.signal(signal.SIGTERM, _leave)
    try:
        with server:
            print(json.dumps({"url": server.url}), flush=True)  # noqa: T201 - the ready line
            while sys.stdin.buffer.readline(4096):
                pass
    except KeyboardInterrupt:
        return


def _leave(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def named(argument: str) -> tuple[str, str]:
    """Split a `name=value` of the command line. Raises ValueError, which argparse turns into its message."""
    name, equals, value = argument.partition("=")
    if not (name and equals and value):
        raise ValueError(argument)
    return name, value
