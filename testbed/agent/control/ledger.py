"""What was there before the first change, kept where a guard finds it, until all is given back."""

from __future__ import annotations

import socket
import zlib
from pathlib import Path

from testbed.agent.control.files import ControlRefused
from testbed.agent.guard.guard import Guard, GuardLost
from testbed.agent.guard.lease import FOLDER, Lease, LeaseError, LeaseInUse, mend
from testbed.agent.guard.undo import Step, undo


def board_of(root: Path) -> str:
    """How the lease on a board's knobs is called; a tree that is not this machine's own has one of its own."""
    return "board" if root == Path("/") else f"board-{zlib.crc32(str(root.resolve()).encode()):08x}"


class Ledger:
    """Of one thing ("board"). Its lease is taken, and the guard started, with the first entry."""

    def __init__(self, thing: str, owner: str, guard: Guard, folder: Path = FOLDER) -> None:
        self._thing, self._owner, self._guard, self._folder = thing, owner, guard, folder
        self._lease: Lease | None = None
        self._entries: dict[str, tuple[int, Step]] = {}

    def mend(self) -> None:
        """Put back what a dead holder left, so that the board is seen as it was. Raises ControlRefused."""
        try:
            mend(self._thing, self._folder)
        except LeaseInUse:
            return  # looking does no harm; the first change will be refused
        except LeaseError as error:
            raise ControlRefused(str(error)) from None

    def require(self) -> None:
        """Raises ControlRefused where the guard has given everything back, and what was set may not hold any more."""
        if self._lease is not None and not self._guard.alive:
            raise ControlRefused(
                "the board was given back: the guard is gone, or found this process silent for too long; what was "
                "measured since may not have been under the settings asked for"
            )

    def knows(self, what: str) -> bool:
        """Whether it is noted how to put one thing back."""
        return what in self._entries

    def note(self, what: str, rank: int, step: Step) -> None:
        """Keep how to put one thing back, unless that is known; the lowest rank is put back first. Durable on return.

        Raises ControlRefused where somebody else holds the board.
        """
        if what in self._entries:
            return
        self.require()
        entries = self._entries | {what: (rank, step)}
        steps = [step for _, step in sorted(entries.values(), key=lambda entry: entry[0])]
        try:
            if self._lease is None:
                owner = f"{self._owner} on {socket.gethostname()}"
                self._lease = Lease.take(self._thing, owner, steps, self._folder)
                self._guard.watch(self._lease)
            else:
                self._lease.replace(steps)
        except LeaseError as error:
            raise ControlRefused(f"the {self._thing.partition('-')[0]} {error}") from None
        except GuardLost as lost:
            raise ControlRefused(str(lost)) from None
        self._entries = entries

    def put_back(self, what: str) -> None:
        """Put one thing back now; it stays noted. Raises ControlRefused where that fails."""
        if what in self._entries and (troubles := undo([self._entries[what][1]])):
            raise ControlRefused(f"{what} cannot be put back: {'; '.join(troubles)}")

    def give_back(self) -> None:
        """Put everything back, and let go. Raises ControlRefused where something cannot be; it stays noted."""
        if self._lease is None:
            return
        try:
            self._lease.put_back()
        except LeaseError as error:
            raise ControlRefused(str(error)) from None
        self._guard.forget(self._lease)
        self._lease.close()
        self._lease = None
        self._entries = {}
