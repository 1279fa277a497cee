"""Which meters are attached to this host: every installed kind looks, and what is in use is left alone."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serial.tools.list_ports import comports

from power import PowerError
from testbed.config.plugins import Attached, MonitorSettings, monitor_kinds

GIVE_UP_S = 12.0
"""bound on asking one port: a driver of the system may hang where a device does not"""
_PSEUDO = "/dev/pts/"
"""whatever emulates a device behind such a terminal holds its near end open as well"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A serial port that told nothing."""

    place: str
    why: str


def usb_serial_ports() -> list[str]:
    """The serial ports that hang on USB."""
    return sorted(port.device for port in comports() if port.vid is not None)


def discover(ports: Sequence[str], root: Path = Path("/")) -> Iterator[Attached | Refused]:
    """What stands behind each port, in the order given, then what is attached otherwise.

    All ports are asked at once, each for `GIVE_UP_S` at most.
    """
    kinds = list(monitor_kinds().values())
    inquiries = [_Inquiry(port, kinds) for port in ports]
    for inquiry in inquiries:
        inquiry.start()
    for inquiry in inquiries:
        yield inquiry.outcome()
    for kind in kinds:
        yield from kind.attached(root)


def users_of(port: str) -> list[str]:
    """Processes, other than this one, that hold a device open, as far as this user may know: "name (process id)"."""
    try:
        device = Path(port).stat().st_rdev
    except OSError:
        return []
    return [_named(process) for process in Path("/proc").glob("[0-9]*") if _holds(process, device)]


def _holds(process: Path, device: int) -> bool:
    if process.name == str(os.getpid()):
        return False
    try:
        for descriptor in (process / "fd").iterdir():
            status = descriptor.stat()
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == device:
                return True
    except OSError:  # another user's, or gone meanwhile
        return False
    return False


def _named(process: Path) -> str:
    try:
        return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    except OSError:
        return f"process {process.name}"


class _Inquiry:
    """One port, asked in a thread of its own, which is left behind should the system's driver hang."""

    def __init__(self, port: str, kinds: Sequence[type[MonitorSettings]]) -> None:
        self._port = port
        self._kinds = kinds
        self._outcome: Attached | Refused = Refused(port, f"does not answer: given up after {GIVE_UP_S:g} s")
        self._thread = threading.Thread(target=self._ask, name=f"asks {port}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def outcome(self) -> Attached | Refused:
        self._thread.join(GIVE_UP_S)
        return self._outcome

    def _ask(self) -> None:
        if not self._port.startswith(_PSEUDO) and (users := users_of(self._port)):
            self._outcome = Refused(self._port, f"in use by {', '.join(users)}; left alone")
            return
        try:
            found = next((found for kind in self._kinds if (found := kind.answers_at(self._port))), None)
        except PowerError as error:
            self._outcome = Refused(self._port, str(error))
            return
        self._outcome = found or Refused(self._port, "no meter answers there")
