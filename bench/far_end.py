"""Emulated meters as separate processes that live in steps, and the clock of their little world."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any

WALK_NS, GLANCE_NS = 500_000, 20_000
ENDS_S = 10.0


def given(options: Mapping[str, object]) -> list[str]:
    """The options as a command line has them; a list gives one often."""
    return [
        f"--{name}={value}"
        for name, values in options.items()
        for value in (values if isinstance(values, list) else [values])
    ]


class Nursery:
    """Starts emulated meters quickly. A context manager: leaving it ends them all."""

    def __enter__(self) -> Nursery:
        self._orders, far_side = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as stack, far_side:
            process = subprocess.Popen([sys.executable, "-m", "bench.nursery"], stdin=far_side.fileno())
            stack.enter_context(process)
            stack.enter_context(self._orders)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def meter(self, program: str, options: Mapping[str, object]) -> FarEnd:
        """The far end that `python -m testbed.virtual.meters.<program> --stepped` is; a list gives an option often."""
        arguments = ["--stepped", *given(options)]
        order = json.dumps([f"testbed.virtual.meters.{program}", arguments])
        stdin, commands = os.pipe()
        answers, stdout = os.pipe()
        socket.send_fds(self._orders, [order.encode()], [stdin, stdout])
        os.close(stdin)
        os.close(stdout)
        return FarEnd(os.fdopen(commands, "w", buffering=1), os.fdopen(answers))


class FarEnd:
    """One emulated meter. A context manager: leaving it ends the meter.

    `clock` is the controller's clock, which begins at 0 and stands still between calls. While a driver waits for an
    answer every look at it lets the world walk on; once the owner lets time pass by `advance`, only a glance goes by.
    """

    def __init__(self, commands: IO[str], answers: IO[str], process: subprocess.Popen[bytes] | None = None) -> None:
        self._commands, self._answers, self._process = commands, answers, process
        self.now_ns = 0
        """the world's time, and the controller's"""
        self.walks = True
        """whether a look at the clock moves the meter"""

    def __enter__(self) -> FarEnd:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._commands.close()
        self._answers.close()
        if self._process is not None:
            self._process.wait(ENDS_S)

    def port(self) -> str:
        """The serial port to open; waits for the program to be ready."""
        return str(self.ready()["port"])

    def ready(self) -> Mapping[str, Any]:
        """What the program says when it is ready, once."""
        said: Mapping[str, Any] = json.loads(self._answers.readline())
        return said

    def clock(self) -> int:
        """The controller's time in ns."""
        if self.walks:
            self.advance(WALK_NS)
        else:
            self.now_ns += GLANCE_NS
        return self.now_ns

    def advance(self, step_ns: int) -> None:
        """Let time pass: everything the meter delivers meanwhile is at the port afterwards."""
        self.now_ns += step_ns
        self._commands.write(f"advance {self.now_ns}\n")
        answer = self._answers.readline()
        if answer != f"ok {self.now_ns}\n":
            raise RuntimeError(f"the emulated meter answered {answer!r}")
