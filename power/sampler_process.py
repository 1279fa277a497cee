"""The controller's end of a sampler: starts it where the sensor is, asks it, hears it, ends it."""

from __future__ import annotations

import errno
import json
import os
import selectors
import shlex
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from power.errors import (
    BoardUnreachable,
    MonitorGone,
    MonitorSilent,
    PowerError,
    SensorFault,
    Unintelligible,
)

BOOTSTRAP = 'import json,sys;exec(json.loads(sys.stdin.buffer.readline()),{"__name__":"__main__"})'
"""all that the command line carries; the program itself follows on stdin"""
READY_S = 20.0
"""an SSH connection over a slow Wi-Fi, and a Python to start on a slow board"""
REPLY_S = 10.0
END_S = 3.0
TAIL_BYTES = 500

Source = tuple[Any, ...]
"""what to read: ("file", path), ("command", argv) or ("register", bus, address, register, bytes)"""
Message = list[Any]
"""an answer of the sampler; its first element says which"""

_CURES = {
    errno.ENOENT: "is the kernel's driver loaded, and is this the right board?",
    errno.EACCES: "it takes root, or a rule that lets you read it",
    errno.EPERM: "it takes root, or a rule that lets you read it",
}
_OTHER_CURE = "look at the sensor, its wiring and `dmesg`"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sampler runs."""

    via: str = "local"
    """"local", or "ssh://user@host:port"; user and port may be left to ssh's own configuration"""
    ssh_config: Path | None = None
    """another configuration file for ssh than the person's own"""
    python: str | None = None
    """the interpreter there; absent: this one where the place is local, else python3"""

    def command(self) -> list[str]:
        """The command that starts an interpreter there, which reads its program from stdin."""
        if self.via == "local":
            return [self.python or sys.executable, "-c", BOOTSTRAP]
        url = urlsplit(self.via)
        # BatchMode: a password prompt would hang a run nobody watches.
        command = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        command += ["-p", str(url.port)] if url.port else []
        command += ["-F", str(self.ssh_config)] if self.ssh_config else []
        host = f"{url.username}@{url.hostname}" if url.username else str(url.hostname)
        return [*command, host, shlex.join([self.python or "python3", "-c", BOOTSTRAP])]


class SamplerProcess:
    """A running sampler. `close` is safe at any time."""

    def __init__(self, name: str, place: Place) -> None:
        """Raises `BoardUnreachable` when no sampler comes to life there. `name` is the meter's, for messages."""
        self._name = name
        self._place = place
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process, in `close`
        self._heard = b""
        self._waiting: deque[tuple[Message, int]] = deque()
        self._faults: dict[int, str] = {}
        try:
            self._process = subprocess.Popen(
                place.command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C at the terminal is the controller's to answer
            )
        except OSError as error:
            self._stderr.close()
            raise BoardUnreachable(f"{name}: cannot start {error.filename or place.via}: {error.strerror}") from None
        try:
            self.say(files("power").joinpath("sampler.py").read_text(encoding="utf-8"))
            self._await("ready", READY_S)
        except (MonitorGone, MonitorSilent):
            message = self._no_life()
            self.close()
            raise BoardUnreachable(message) from None
        except BaseException:
            self.close()
            raise

    def find(self, *patterns: str) -> list[str]:
        """The paths that match, in order."""
        return list(self.ask("found", "find", patterns)[0])

    def read(self, *sources: Source) -> list[Any]:
        """Each source once. Raises `SensorFault`."""
        return list(self.ask("values", "read", sources)[0])

    def write(self, register: Source, data: bytes) -> None:
        """Bytes into a register. Raises `SensorFault`."""
        self.ask("written", "write", register, list(data))

    def cure(self, code: int, advice: str) -> None:
        """What a person does about an errno of this meter's files; it then stands in the fault."""
        self._faults[code] = advice

    def ask(self, answer: str, *request: object) -> list[Any]:
        """Send a request and wait for its answer, of which the rest is returned; what else arrives is dropped.

        Raises `MonitorGone`, `MonitorSilent`, `SensorFault`.
        """
        self.say(request)
        return self._await(answer, REPLY_S)

    def say(self, request: object) -> None:
        """Send a request. Raises `MonitorGone`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except (BrokenPipeError, ValueError):
            raise self._gone() from None

    def hear(self, wait_s: float) -> list[tuple[Message, int]]:
        """What has arrived, each with the moment it was seen, after waiting for the first at most `wait_s`.

        Raises `MonitorGone`, `Unintelligible`, and `SensorFault` for what the sampler complains of.
        """
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(wait_s):
                return []
        chunk = os.read(self._process.stdout.fileno(), 1 << 16)
        arrival_ns = time.monotonic_ns()
        if not chunk:
            raise self._gone()
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        messages = [self._decode(line) for line in lines]
        for message in messages:
            if message[0] == "fault":
                raise self._fault(*message[1:])
        return [(message, arrival_ns) for message in messages]

    def close(self) -> None:
        """Close its stdin; should it not end by that in time, terminate it; nor by that, kill it."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        for hurry in (process.terminate, process.kill):
            try:
                process.wait(END_S)
                break
            except subprocess.TimeoutExpired:
                hurry()
        process.wait(END_S)
        self._stderr.close()

    def _await(self, answer: str, patience_s: float) -> list[Any]:
        deadline_s = time.monotonic() + patience_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            for message, _ in self.hear(left_s):
                if message[0] == answer:
                    return message[1:]
        raise MonitorSilent(f"{self._name}: the sampler on {self._place.via} did not answer within {patience_s:g} s")

    def _decode(self, line: bytes) -> Message:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            raise Unintelligible(
                f"{self._name}: {line[:60]!r} is no answer of a sampler; does a start-up file of the shell on "
                f"{self._place.via} print something?"
            )
        return message

    def _fault(self, what: str, code: int, why: str) -> SensorFault:
        if what == "smbus2":
            return SensorFault(
                f"{self._name}: smbus2 {why} on {self._place.via}; install it there: "
                "`python3 -m pip install smbus2`, or on Debian `sudo apt-get install python3-smbus2`"
            )
        advice = self._faults.get(code) or _CURES.get(code, _OTHER_CURE)
        return SensorFault(f"{self._name}: {what} on {self._place.via}: {why}; {advice}")

    def _no_life(self) -> str:
        place = self._place
        if place.via != "local" and self._process.poll() == 255:
            reason = f"{place.via} cannot be reached by ssh without a password: try `ssh` by hand, set up a key"
        else:
            reason = f"no sampler comes to life on {place.via}; is {place.python or 'python3'} there, 3.8 or newer?"
        return f"{self._name}: {reason}{self._last_words()}"

    def _gone(self) -> PowerError:
        return MonitorGone(f"{self._name}: the sampler on {self._place.via} ended{self._last_words()}")

    def _last_words(self) -> str:
        if self._stderr.closed:
            return ""
        try:
            self._process.wait(1.0)  # its pipes break a moment before it has ended
        except subprocess.TimeoutExpired:
            return ""
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES)).decode(errors="replace").strip()
        return f" ({tail.splitlines()[-1]})" if tail else ""
