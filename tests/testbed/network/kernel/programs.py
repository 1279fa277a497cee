"""Programs in processes of their own, forked from this one: a start from nothing takes seconds in a User-Mode Linux."""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TextIO

from testbed.agent.shaping.filters import Address
from testbed.cli import run_command_line
from testbed.network.conditions import Condition
from testbed.network.netem import NetemLink
from tests.testbed.network.kernel.wires import FAR_ADDRESSES, NEAR, PORT

_forks = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Program:
    """A process, and its standard input and output at our end."""

    process: BaseProcess
    terminal: socket.socket
    stdout: TextIO

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end_input(self) -> None:
        self.terminal.shutdown(socket.SHUT_WR)


@contextmanager
def program(main: Callable[..., None], *arguments: object) -> Iterator[Program]:
    """A process that runs `main`; killed at the end, if it is still there."""
    ours, theirs = _forks.Pipe()
    process = _forks.Process(target=_attached, args=(theirs, main, arguments))
    gc.freeze()  # a collection there would copy every page of this process
    with warnings.catch_warnings():
        # Python 3.12 warns of threads; ours, on the far side of the wire, waits for work.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    gc.unfreeze()
    theirs.close()
    with ours, socket.socket(fileno=os.dup(ours.fileno())) as terminal, terminal.makefile() as stdout:
        try:
            yield Program(process, terminal, stdout)
        finally:
            process.kill()
            process.join()


def _attached(terminal: Connection, main: Callable[..., None], arguments: Sequence[object]) -> None:
    for number in (0, 1):
        os.dup2(terminal.fileno(), number)
    terminal.close()
    sys.stdin, sys.stdout = open(0), open(1, "w", buffering=1)  # noqa: SIM115 - as long as the process lives
    main(*arguments)


def command_line(*arguments: str) -> None:
    """`testbed` with these arguments."""
    sys.exit(run_command_line(arguments))


def hold() -> None:
    """Shape the way to the endpoint until the input ends."""
    paths = {"cloud": [Address(FAR_ADDRESSES[4], PORT)]}
    with NetemLink.on_this_host(NEAR, paths, owner="bench 'first'") as shaped:
        shaped.apply(Condition(None, 1e6, 1e6, 0.02, 0.0, 0.0), "cloud")
        sys.stdout.write("shaped\n")
        sys.stdin.read()
