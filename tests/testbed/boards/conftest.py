"""Boards opened on temporary trees, with leases of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

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
