"""Files by which the kernel tells and is told (sysfs, procfs), and what their refusals mean."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

_ATTEMPTS, _PAUSE_S = 5, 0.01
"""a driver that is busy answers EAGAIN or EBUSY for a moment"""
_BUSY = (errno.EAGAIN, errno.EBUSY)
_CURES = {
    errno.EACCES: "this user may not write it: install packaging/testbed-board.conf on the board, "
    "or run the agent as root (docs/reference/board.md)",
    errno.EROFS: "it lies on a file system that is read-only: in a container, mount /sys writable",
    errno.EINVAL: "the kernel does not take this value",
    errno.ENOENT: "it is gone: another power mode or a core that is off may have taken it away",
}
_CURES[errno.EAGAIN] = _CURES[errno.EBUSY] = "its driver is busy, and stays so: look for what else uses it"
_CURES[errno.EPERM] = _CURES[errno.EACCES]
_CURES[errno.ENODEV] = _CURES[errno.ENOENT]


class ControlRefused(Exception):
    """A board cannot be set as asked. Says what refuses, and what mends it."""


def text(path: Path) -> str:
    """The file's text without padding; empty where it cannot be read, as the sensor of a gated device cannot."""
    try:
        # The bytes of a file that answers EAGAIN to a read, and not to its opening, are None.
        told: bytes | None = path.read_bytes()
    except OSError:
        return ""
    return (told or b"").decode(errors="replace").strip("\0 \t\n")


def number(path: Path) -> int | None:
    """The whole number in a file; None where it holds none, or cannot be read."""
    try:
        return int(text(path))
    except ValueError:
        return None


def put(path: Path, value: str) -> None:
    """Write a value, in one write. Raises ControlRefused with the cure."""
    try:
        write(path, value)
    except OSError as error:
        raise refusal(error, path, value) from None


def refusal(error: OSError, path: Path, value: str) -> ControlRefused:
    """What a write that failed says to a person."""
    reason = _CURES.get(error.errno or 0, error.strerror)
    return ControlRefused(f"{path} cannot be set to '{value}': {reason}")


def write(path: Path, value: str) -> None:
    """Write a value, in one write; a driver that is busy is asked again, with a bound. Raises OSError."""
    for attempt in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                os.write(descriptor, value.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in _BUSY or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def limits_in_order(low: Path, high: Path, low_value: int, high_value: int) -> Iterator[tuple[Path, str]]:
    """What to write to a lower and an upper limit, in the order that never leaves the one above the other."""
    above = number(high)
    order = [(low, low_value), (high, high_value)]
    for path, value in reversed(order) if above is not None and low_value > above else order:
        if number(path) != value:
            yield path, str(value)
