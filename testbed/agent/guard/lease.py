"""The right to alter one thing of this machine: a locked file that says who holds it and what to put back.

The lock is shared with the guard and ends with the last of the two; a file that is not locked and not empty was left by
a holder that died together with its guard, and the next to come puts things back first.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from testbed.agent.guard.undo import Step, undo

FOLDER = Path("/run/lock")
"""open to every user and emptied by a reboot, like the kernel's own state (Filesystem Hierarchy Standard 3.0, 5.9)"""
_PREFIX = "testbed-"


class LeaseError(Exception):
    """The lease cannot be had."""


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
            lease.write({"owner": owner, "pid": os.getpid(), "undo": list(map(dict, steps))})
        except BaseException:
            lease.close()
            raise
        return lease

    @classmethod
    def _locked(cls, path: Path) -> Lease:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LeaseError(f"the lease {path} cannot be opened: {error.strerror}; run as root") from None
        lease = cls(path, descriptor)
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise LeaseError(f"the lease {path} belongs to another user: delete it, or run as that user")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lease.read()
            lease.close()
            who = f"{holder['owner']} (process {holder['pid']})" if holder else "a process that is just starting"
            raise LeaseError(f"is in use by {who}") from None
        except LeaseError:
            lease.close()
            raise
        return lease

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

    def put_back(self) -> None:
        """Carry out what stands in it, and empty it. Raises LeaseError, and keeps it, where that fails."""
        if troubles := undo(self.read().get("undo", [])):
            raise LeaseError(f"what {self.path} says cannot be put back: {'; '.join(troubles)}")
        self.write({})

    def close(self) -> None:
        """Let go; the lock goes when the guard has let go too."""
        os.close(self.descriptor)


def sweep(folder: Path = FOLDER) -> Iterator[str]:
    """Put back what dead holders left; yields a line for each."""
    for path in sorted(folder.glob(f"{_PREFIX}*.json")):
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
