"""Reads sensors at a steady rate where they are: a program of its own, for Python 3.8 or newer and nothing else.

It is sent to the board as text and never imported there. Requests come on stdin and answers go to stdout, each a JSON
array on a line of its own; it ends when stdin closes. What it reads it passes on as it stands.

    ["find", patterns]        -> ["found", paths]                   files that match
    ["read", sources]         -> ["values", values]                 each source once
    ["write", register, data] -> ["written"]                        bytes into a register of an I2C device
    ["start", period, sources] -> ["started", period]               ns, longer where the board is too slow for it;
                                 ["sweep", i, before, after, values], again and again
    ["sync", n]               -> ["sync", n, received, sent]
    ["stop"]                  -> ["stopped"]
    whatever fails            -> ["fault", what, errno, why]        the sampling has then ended

A source is ["file", path], ["command", argv] or ["register", bus, address, register, bytes], in `start` with a number
behind it: it is read in every so-many-th sweep, and its last value stands in the others. Times are CLOCK_MONOTONIC in
ns. The sweeps are numbered by their place in the schedule: one that could not be made is a number left out.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

PATIENCE = 10
"""so many sweeps in a row may fail before the sensor counts as broken"""
TRIAL_SWEEPS = 16
HEADROOM = 1.25
"""over the mean length of a sweep, for a schedule that can be kept"""
FLUSH_NS = 20_000_000
COMMAND_TIMEOUT_S = 5.0
STOP_S = 10.0
PRIORITY = -10
"""in nice's terms"""


class Fault(Exception):
    """What failed, its errno (0 without one) and why."""


class Sensors:
    """Whatever can be read from this machine."""

    def __init__(self) -> None:
        self._buses: dict[int, Any] = {}

    def read(self, source: list[Any]) -> str | int:
        """A file's text, a command's output, a register's bytes as a number (most significant first)."""
        kind, *where = source
        if kind == "file":
            return _file(where[0])
        if kind == "command":
            return _output(where[0])
        bus, address, register, length = where
        try:
            data = self._bus(bus).read_i2c_block_data(address, register, length)
        except OSError as error:
            raise _fault(f"I2C device {address:#04x} on /dev/i2c-{bus}", error) from None
        return int.from_bytes(bytes(data), "big")

    def write(self, register: list[Any], data: list[int]) -> None:
        """Bytes into a register, named as a source."""
        _, bus, address, at = register[:4]
        try:
            self._bus(bus).write_i2c_block_data(address, at, data)
        except OSError as error:
            raise _fault(f"I2C device {address:#04x} on /dev/i2c-{bus}", error) from None

    def _bus(self, number: int) -> Any:
        if number not in self._buses:
            try:
                import smbus2
            except ImportError:
                raise Fault("smbus2", 0, f"is not installed for {sys.executable}") from None
            try:
                self._buses[number] = smbus2.SMBus(number)
            except OSError as error:
                raise _fault(f"/dev/i2c-{number}", error) from None
        return self._buses[number]


def _file(path: str) -> str:
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            return os.read(file, 4096).decode(errors="replace").strip("\0 \n")
        finally:
            os.close(file)
    except OSError as error:
        raise _fault(path, error) from None


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except OSError as error:
        raise _fault(argv[0], error) from None
    except subprocess.TimeoutExpired:
        raise Fault(argv[0], errno.ETIMEDOUT, f"did not end within {COMMAND_TIMEOUT_S:g} s") from None
    if done.returncode:
        raise Fault(argv[0], 0, (done.stderr or done.stdout).decode(errors="replace").strip()[-200:])
    return done.stdout.decode(errors="replace")


def _fault(what: str, error: OSError) -> Fault:
    return Fault(what, error.errno or 0, error.strerror or str(error))


class Voice:
    """The answers' way out, for two threads. Sweeps wait a little for company: each write wakes the whole board."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._flushed_ns = 0

    def say(self, message: list[Any], patient: bool = False) -> None:
        self.say_with(lambda: message, patient)

    def say_with(self, make: Any, patient: bool = False) -> None:
        """The message is made when nothing stands between it and the wire any more."""
        with self._lock:
            self._out.write(json.dumps(make(), separators=(",", ":")).encode() + b"\n")
            now_ns = time.monotonic_ns()
            if not patient or now_ns - self._flushed_ns >= FLUSH_NS:
                self._out.flush()
                self._flushed_ns = now_ns


class Sweeper:
    """Sweeps over its sources in a thread of its own until it is stopped."""

    def __init__(self, sensors: Sensors, voice: Voice, period_ns: int, sources: list[list[Any]]) -> None:
        self._sensors = sensors
        self._voice = voice
        self._sources = [(source[:-1], source[-1]) for source in sources]
        self._values = [sensors.read(source) for source, _ in self._sources]
        self._swept = 0
        self._stopping = threading.Event()
        begun_ns = time.monotonic_ns()
        for _ in range(TRIAL_SWEEPS):
            self._sweep()
        self.period_ns = max(period_ns, round((time.monotonic_ns() - begun_ns) / TRIAL_SWEEPS * HEADROOM))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(STOP_S)

    def _sweep(self) -> tuple[int, int]:
        """When it began and ended. Raises `Fault`."""
        before_ns = time.monotonic_ns()
        for place, (source, every) in enumerate(self._sources):
            if self._swept % every == 0:
                self._values[place] = self._sensors.read(source)
        self._swept += 1
        return before_ns, time.monotonic_ns()

    def _run(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # the controller has gone; stdin tells so too
            self._keep_sweeping()

    def _keep_sweeping(self) -> None:
        index, failed, due_ns = 0, 0, time.monotonic_ns()
        while not self._stopping.wait(max(0, due_ns - time.monotonic_ns()) * 1e-9):
            # A little lateness is caught up with; whole places in the schedule that passed by are lost.
            lost = max(0, (time.monotonic_ns() - due_ns) // self.period_ns)
            index, due_ns = index + lost, due_ns + lost * self.period_ns
            try:
                before_ns, after_ns = self._sweep()
                failed = 0
                self._voice.say(["sweep", index, before_ns, after_ns, self._values], patient=True)
            except Fault as fault:
                failed += 1
                if failed == PATIENCE:
                    self._voice.say(["fault", *fault.args])
                    return
            index, due_ns = index + 1, due_ns + self.period_ns


def _hurry() -> None:
    """Go before the load where that is allowed: a sampler that waits for it reads late just when it matters."""
    with contextlib.suppress(OSError):  # only root may, and the board is measured all the same
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)


def serve(requests: BinaryIO, out: BinaryIO) -> None:
    """Obey until `requests` ends."""
    _hurry()
    sensors, voice = Sensors(), Voice(out)
    sweeper: Sweeper | None = None
    voice.say(["ready", list(sys.version_info[:3])])
    for line in iter(requests.readline, b""):
        received_ns = time.monotonic_ns()
        what, *details = json.loads(line)
        try:
            if what == "sync":
                number = details[0]
                voice.say_with(lambda n=number, at=received_ns: ["sync", n, at, time.monotonic_ns()])
            elif what == "find":
                voice.say(
                    [
                        "found",
                        sorted(str(path) for pattern in details[0] for path in Path("/").glob(pattern.lstrip("/"))),
                    ]
                )
            elif what == "read":
                voice.say(["values", [sensors.read(source) for source in details[0]]])
            elif what == "write":
                sensors.write(*details)
                voice.say(["written"])
            elif what == "start":
                sweeper = Sweeper(sensors, voice, *details)
                voice.say(["started", sweeper.period_ns])
                sweeper.start()
            elif what == "stop":
                if sweeper is not None:
                    sweeper.stop()
                voice.say(["stopped"])
        except Fault as fault:
            voice.say(["fault", *fault.args])
    if sweeper is not None:
        sweeper.stop()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
