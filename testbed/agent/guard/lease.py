"""The right to alter one thing of this machine: a locked file that says who holds it and what to put back.

The lock is shared with the guard and ends with the last of the two; a file that is not locked and not empty was left by
a holder that died together with its guard, and the next to come puts things back first.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.agent.guard.undo import Step, boot, of_another_boot, undo

FOLDER = Path("/var/tmp")
"""open to every user and kept over a boot, as power modes are (Filesystem Hierarchy Standard 3.0, 5.15)"""
_PREFIX = "testbed-"


@dataclass(frozen=True, slots=True)
class Holding:
    """A thing, and who altered it."""

    thing: str
    owner: str
    pid: int
    locked: bool
    """whether the holder or its guard still lives"""


class LeaseError(Exception):
    """The lease cannot be had."""


class LeaseInUse(LeaseError):
    """Somebody alive holds it."""


class Lease:
    """Held from `take` to `close`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @classmethod
    def take(cls, thing: str, owner: str, steps: Sequence[Step], folder: Path = FOLDER) -> Lease:
        """Lock the lease on a thing ("link-4026531840-eth0"), mending what a dead holder left.

        Raises LeaseError where somebody else holds it, or nothing can be put back.
        """
        lease = cls._locked(folder / f"{_PREFIX}{thing}.json")
        try:
            lease.put_back()
            lease.write({"owner": owner, "pid": os.getpid(), "boot": boot(), "undo": list(map(dict, steps))})
            _keep_names(folder)
        except BaseException:
            lease.close()
            raise
        return lease

    @classmethod
    def _locked(cls, path: Path) -> Lease:
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise LeaseError(f"the lease {path} cannot be opened: {error.strerror}; run as root") from None
            lease = cls._lock(path, descriptor)
            if lease._named():
                return lease
            os.close(descriptor)  # whoever had it threw it away meanwhile

    @classmethod
    def _lock(cls, path: Path, descriptor: int) -> Lease:
        lease = cls(path, descriptor)
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise LeaseError(f"the lease {path} belongs to another user: delete it, or run as that user")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lease.read()
            os.close(descriptor)
            who = f"{holder['owner']} (process {holder['pid']})" if holder else "a process that is just starting"
            raise LeaseInUse(f"is in use by {who}") from None
        except LeaseError:
            os.close(descriptor)
            raise
        return lease

    def _named(self) -> bool:
        """Whether the file still has its name."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.lstat())
        except FileNotFoundError:
            return False

    def read(self) -> dict[str, Any]:
        """What stands in it; empty when nothing is to be put back."""
        try:
            found = json.loads(os.pread(self.descriptor, 1 << 20, 0) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, content: dict[str, Any]) -> None:
        """Durable when it returns."""
        data = json.dumps(content).encode() if content else b""
        os.pwrite(self.descriptor, data, 0)
        os.ftruncate(self.descriptor, len(data))
        os.fsync(self.descriptor)

    def replace(self, steps: Sequence[Step]) -> None:
        """Have these steps done when things are put back, and no others. Durable on return."""
        self.write(self.read() | {"undo": list(map(dict, steps))})

    def put_back(self) -> None:
        """Carry out what stands in it, and empty it. Raises LeaseError, and keeps it, where that fails."""
        told = self.read()
        steps = told.get("undo", [])
        if troubles := undo(steps if told.get("boot", "") == boot() else of_another_boot(steps)):
            raise LeaseError(f"what {self.path} says cannot be put back: {'; '.join(troubles)}")
        self.write({})

    def close(self) -> None:
        """Let go, and throw an empty one away; the lock goes when the guard has let go too."""
        if not self.read() and self._named():
            self.path.unlink()
        os.close(self.descriptor)


def mend(thing: str, folder: Path = FOLDER) -> None:
    """Put back what a dead holder of a thing left. Raises LeaseError where that fails, or somebody holds it."""
    path = folder / f"{_PREFIX}{thing}.json"
    if path.exists():
        lease = Lease._locked(path)
        try:
            lease.put_back()
        finally:
            lease.close()


def sweep(folder: Path = FOLDER, things: str = "") -> Iterator[str]:
    """Put back what dead holders left, of all things or of those whose names begin so; yields a line for each."""
    for path in sorted(folder.glob(f"{_PREFIX}{things}*.json")):
        try:
            lease = Lease._locked(path)
        except LeaseError as error:
            yield f"{path.name}: {error}"
            continue
        try:
            owner = lease.read().get("owner")
            lease.put_back()
            if owner:
                yield f"{path.name}: put back what {owner} left"
        except LeaseError as error:
            yield f"{path.name}: {error}"
        finally:
            lease.close()


def held(folder: Path = FOLDER) -> Iterator[Holding]:
    """Everything that somebody has altered and not put back yet. Takes no lease, and needs no right but to read."""
    for path in sorted(folder.glob(f"{_PREFIX}*.json")):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # gone meanwhile, or none of ours
        lease = Lease(path, descriptor)
        try:
            told = lease.read()
            if {"owner", "pid"} <= told.keys():
                thing = path.stem.removeprefix(_PREFIX)
                yield Holding(thing, str(told["owner"]), int(told["pid"]), _is_locked(descriptor))
        finally:
            os.close(descriptor)


def _keep_names(folder: Path) -> None:
    """Have a new file's name on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
