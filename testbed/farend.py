"""Starts programs that stand at the far end of a wire, such as emulated meters, and sees to it that they end.

Such a program prints one JSON object on a line of its own when it is ready, and lives as long as its stdin is open.
From then on it writes to stdout only to answer what it reads from stdin.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any

from testbed.errors import BenchError

_log = logging.getLogger(__name__)

_STDERR_TAIL_BYTES = 2000
_DEATH_S = 1.0


class FarEndError(BenchError):
    """A far end did not start, did not answer, or died; the message ends with the tail of its stderr."""


class FarEnd:
    """A running far end. A context manager: leaving it ends the program, and leaving it twice does no harm."""

    def __init__(self, module: str, process: subprocess.Popen[bytes], stderr: IO[bytes], owned: ExitStack) -> None:
        self.module = module
        self.process = process
        self.ready: Mapping[str, Any] = {}
        """what its ready line says"""
        self._stderr = stderr
        self._owned = owned
        self._heard = b""

    def say(self, line: str) -> None:
        """Write one line to its stdin. Raises `FarEndError` when it is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None

    def hear(self, timeout_s: float) -> str:
        """The next line of its stdout. Raises `FarEndError` when it dies, or says nothing for `timeout_s`."""
        assert self.process.stdout is not None
        deadline_s = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                if not selector.select(max(0.0, deadline_s - time.monotonic())):
                    raise self._error(f"said nothing for {timeout_s:g} s")
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk:
                    raise self._death()
                self._heard += chunk
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def require_alive(self) -> None:
        """Raises `FarEndError` when the program has ended."""
        if self.process.poll() is not None:
            raise self._death()

    def close(self) -> None:
        """Close its stdin; should it not end by that in time, terminate it; nor by that, kill it."""
        self._owned.close()

    def _death(self) -> FarEndError:
        try:
            return self._error(f"ended by itself with status {self.process.wait(_DEATH_S)}")
        except subprocess.TimeoutExpired:
            return self._error("closed its stdin or stdout")

    def _error(self, what: str) -> FarEndError:
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), _STDERR_TAIL_BYTES, max(0, size - _STDERR_TAIL_BYTES))
        last_words = f"; its last words:\n{tail.decode(errors='replace').strip()}" if tail else ""
        return FarEndError(f"the far end {self.module} {what}{last_words}")

    def __enter__(self) -> FarEnd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_far_end(
    module: str,
    arguments: Sequence[str] = (),
    *,
    ready_timeout_s: float = 10.0,
    stop_timeout_s: float = 3.0,
) -> FarEnd:
    """Run `python -m module *arguments` and wait for its ready line.

    The program gets a session of its own: an interrupt at the terminal reaches the controller alone, which ends the far
    end when it is done with it. Raises `FarEndError` when it dies or is not ready in `ready_timeout_s`.
    """
    with ExitStack() as owned:
        stderr = owned.enter_context(tempfile.TemporaryFile())
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        assert process.stdout is not None
        owned.enter_context(process.stdout)
        owned.callback(_end, process, module, stop_timeout_s)
        far_end = FarEnd(module, process, stderr, owned.pop_all())
    with ExitStack() as unless_ready:
        unless_ready.enter_context(far_end)
        line = far_end.hear(ready_timeout_s)
        try:
            far_end.ready = json.loads(line)
        except json.JSONDecodeError:
            raise FarEndError(f"{module} is no far end: its first line is {line!r}, not a JSON object") from None
        unless_ready.pop_all()
    _log.info("far end %s ready: %s", module, line)
    return far_end


def advance(far_end: FarEnd, time_ns: int, timeout_s: float = 10.0) -> None:
    """Have a stepped far end deliver all that is due by `time_ns` of its simulated time."""
    far_end.say(f"advance {time_ns}")
    answer = far_end.hear(timeout_s)
    if answer != f"ok {time_ns}":
        raise FarEndError(f"the far end {far_end.module} answered {answer!r} to a step to {time_ns} ns")


def _end(process: subprocess.Popen[bytes], module: str, timeout_s: float) -> None:
    assert process.stdin is not None
    try:
        process.stdin.close()
    except BrokenPipeError:
        _log.debug("%s had ended before", module)
    for hurry in (process.terminate, process.kill):
        try:
            process.wait(timeout_s / 3)
            return
        except subprocess.TimeoutExpired:
            _log.warning("the far end %s (process %d) does not end: %s", module, process.pid, hurry.__name__)
            hurry()
    process.wait(timeout_s / 3)
