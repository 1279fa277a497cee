"""The guarded end: starts the guard, gives signs of life, and learns when it is gone."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import threading

from testbed.agent.guard.lease import Lease

BEAT_S = 0.25
_START_S = 20.0
_END_S = 10.0


class GuardLost(Exception):
    """The guard is gone: it put everything back, or was killed."""


class Guard:
    """A guard process in a session of its own, and the thread that keeps it quiet."""

    def __init__(self, lease: Lease) -> None:
        """Raises GuardLost when it does not start."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "testbed.agent.guard", str(lease.path), str(lease.descriptor)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(lease.descriptor,),
            start_new_session=True,
            # Where the agent's sources came in an archive, only this process's own path leads to them.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._enough = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="guard heartbeat", daemon=True)
        self._beats.start()
        try:
            self._await_ready()
        except BaseException:
            self.close()
            raise

    def _await_ready(self) -> None:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(_START_S) or not self._process.stdout.readline():
                raise GuardLost("the guard that puts everything back did not start")

    def _beat(self) -> None:
        assert self._process.stdin is not None
        while not self._enough.wait(BEAT_S):
            try:
                os.write(self._process.stdin.fileno(), b".")
            except BrokenPipeError:
                return

    @property
    def alive(self) -> bool:
        """Whether it still watches."""
        return self._process.poll() is None

    def close(self) -> None:
        """Have it put back whatever is left, and wait for that. Twice does no harm."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._enough.set()
        self._beats.join()
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
