"""Network namespaces, as man 7 network_namespaces has them; Python knows the calls from 3.12 on only."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLONE_NEWNET = 0x40000000
"""linux/sched.h"""


def leave() -> None:
    """Move this thread, and those it starts, into a network namespace of its own. Raises OSError without the right."""
    _check(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET), "unshare")


def enter(namespace: Path) -> None:
    """Move this thread, and those it starts, into a namespace. Raises OSError without the right."""
    with namespace.open() as file:
        _check(ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET), "setns")


def _check(failed: int, call: str) -> None:
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
