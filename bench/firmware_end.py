"""The bridge's real firmware in its emulator, as a far end that lives in steps."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.far_end import FarEnd, given

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the emulator's log: what really happened."""

    cycle: int
    time_ns: int
    what: tuple[str, ...]


def built(baud: int = 1_000_000) -> Path:
    """The folder with firmware for that baud rate, and the emulator; raises `RuntimeError` where none can be built."""
    out = ROOT / "build" / ("firmware" if baud == 1_000_000 else f"firmware-{baud}")
    make = ["make", "-C", str(ROOT), "emulator", f"OUT={out}", f"BAUD={baud}"]
    out.parent.mkdir(exist_ok=True)
    with (out.parent / "lock").open("w") as lock:  # tests and figures may be asked for at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(make, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    return out


def firmware_end(folder: Path, options: Mapping[str, object], firmware: str = "bridge.elf") -> FarEnd:
    """The emulator with these options, stepped."""
    command = [folder / "bridge-emulator", f"--firmware={folder / firmware}", "--stepped", *given(options)]
    stdin, commands = os.pipe()
    answers, stdout = os.pipe()
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, close_fds=True)
    os.close(stdin)
    os.close(stdout)
    return FarEnd(os.fdopen(commands, "w", buffering=1), os.fdopen(answers), process)


def events(path: Path) -> list[Event]:
    """What the log holds so far."""
    lines = (line.split() for line in path.read_text().splitlines())
    return [Event(int(cycle), int(time_ns), tuple(what)) for cycle, time_ns, *what in lines]
