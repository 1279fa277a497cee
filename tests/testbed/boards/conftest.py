"""Boards opened on temporary trees, with leases of their own."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import pytest

from testbed.agent.boards import jetson, linux, raspberry_pi
from testbed.agent.boards.real import RealBoard

Opener = Callable[..., RealBoard]
_KINDS = {"jetson": jetson.open_board, "raspberry-pi": raspberry_pi.open_board, "linux": linux.open_board}


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    folder = tmp_path / "leases"
    folder.mkdir()
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def opened(leases: Path, root: Path) -> Iterator[Opener]:
    """Opens a board of a kind on the tree; closed at the end of the test."""
    with ExitStack() as stack:

        def open_(kind: str, **settings: object) -> RealBoard:
            config = {"root": str(root), "leases": str(leases), "owner": "the tests", "threads": 1, **settings}
            return stack.enter_context(_KINDS[kind](config))

        yield open_


@contextmanager
def busy(path: Path, *, until_asked: bool = False) -> Iterator[None]:
    """A file that answers EAGAIN to who would open it: another has a lease on it (fcntl(2), F_SETLEASE).

    `until_asked`: only to the first who does.
    """
    descriptor = os.open(path, os.O_RDWR)

    def asked(number: int, frame: FrameType | None) -> None:
        if until_asked:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    before = signal.signal(signal.SIGIO, asked)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)
