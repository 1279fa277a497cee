"""Writes that outlive a crash: what has been appended is on the disk, whole, before the call returns."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(Exception):
    """The run folder cannot be used as asked: the message names it, and the cure."""


class StoreFull(StoreError):
    """No space for the next write. Everything appended before is safe; free space and resume."""


@contextmanager
def no_space_named(path: Path) -> Iterator[None]:
    """Turns the operating system's ways of saying "no space" into `StoreFull`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        reason = os.strerror(error.errno)
        raise StoreFull(f"cannot write {path}: {reason}. What was recorded is safe: free space, then go on.") from error


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a temporary file beside `path`, then puts it in place: a reader sees all of it or nothing."""
    unfinished = path.with_name(path.name + ".part")
    try:
        with no_space_named(path):
            write(unfinished)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


class AppendFile:
    """A file that grows by whole appends: each is on the disk when `append` returns, or leaves no trace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        created = not path.exists()
        with no_space_named(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.size = os.fstat(self._descriptor).st_size
        if created:
            sync_folder(path.parent)

    def fileno(self) -> int:
        return self._descriptor

    def append(self, data: bytes) -> None:
        """Raises `StoreFull` when there is no space; what was there before stays."""
        before = self.size
        try:
            with no_space_named(self.path):
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
                os.fsync(self._descriptor)
        except BaseException:
            self.cut(before)
            raise
        self.size = before + len(data)

    def cut(self, size: int) -> None:
        """Forgets everything beyond the first `size` bytes."""
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)
        self.size = size

    def close(self) -> None:
        """Always safe, twice too."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
