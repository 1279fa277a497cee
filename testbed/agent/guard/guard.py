"""The guarded end: starts the guard, hands leases to it, gives signs of life, and learns when it is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from testbed.agent.guard.lease import Lease

BEAT_S = 0.25
_ANSWER_S = 20.0
_END_S = 10.0
ADD, DROP, BEAT, DONE = b"+", b"-", b".", b"!"
"""what is said on the line: the first two with a lease's path, ADD with its descriptor too; DONE answers them"""

_GONE = "the guard that puts everything back is gone, or did not start"


class GuardLost(Exception):
    """The guard is gone: it put everything back, or was killed."""


class Guard:
    """One guard process for all that this process alters, in a session of its own; it starts with the first lease.

    A context manager: leaving it has the guard put back whatever is left.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._enough = threading.Event()
        self._live: Callable[[], bool] = lambda: True

    def heed(self, live: Callable[[], bool]) -> None:
        """Give it no sign of life while `live` says no: it then puts everything back."""
        self._live = live

    def watch(self, lease: Lease) -> None:
        """Have a lease put back when this process is gone. Raises GuardLost when the guard does not answer."""
        if self._process is None:
            self._start()
        try:
            socket.send_fds(self._line, [ADD + os.fsencode(lease.path)], [lease.descriptor])
        except OSError:
            raise GuardLost(_GONE) from None
        self._await_answer()

    def forget(self, lease: Lease) -> None:
        """This lease has been put back; a guard that is gone has nothing to forget."""
        try:
            self._line.send(DROP + os.fsencode(lease.path))
            self._await_answer()
        except (OSError, GuardLost):
            return

    @property
    def alive(self) -> bool:
        """Whether it still watches."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Have it put back whatever is left, and wait for that. Twice does no harm."""
        if self._process is None:
            return
        self._enough.set()
        self._beats.join()
        self._line.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self._line, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(_ANSWER_S)
        with far:
            self._process = subprocess.Popen(
                # -S: it needs no package but this one, and starts twice as fast.
                [sys.executable, "-S", "-m", "testbed.agent.guard", "watch"],
                stdin=far.fileno(),
                start_new_session=True,
                # Where the agent's sources came in an archive, that is in the path.
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
            )
        self._beats = threading.Thread(target=self._beat, name="guard heartbeat", daemon=True)
        self._beats.start()

    def _await_answer(self) -> None:
        try:
            answered = self._line.recv(1) == DONE
        except OSError:
            answered = False
        if not answered:
            raise GuardLost(_GONE)

    def _beat(self) -> None:
        while not self._enough.wait(BEAT_S):
            if not self._live():
                continue
            try:
                self._line.send(BEAT)
            except OSError:
                return
