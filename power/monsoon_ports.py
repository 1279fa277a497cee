"""Where a serial Monsoon might be, and the lock that the tools of the field hold while they use one."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from serial.tools import list_ports

from power.errors import PortBusy

DESCRIPTION = "mobile device power monitor"
"""how the port describes itself (catapult telemetry/internal/platform/profiler/monsoon.py)"""
PATTERNS = ("ttyACM*", "tty.usbmodem*")
"""under /dev: Linux, macOS"""


def candidates(devices: Path = Path("/dev")) -> list[str]:
    """Serial ports that may be a Monsoon's, those first that say so."""
    named = [port.device for port in list_ports.comports() if (port.description or "").lower().startswith(DESCRIPTION)]
    found = [str(path) for pattern in PATTERNS for path in sorted(devices.glob(pattern))]
    return [*named, *(path for path in found if path not in named)]


class PortLock:
    """The advisory lock on one port, shared with AOSP's, Mobly's, Catapult's and ACTS's tools. `release` is safe twice.

    They lock a file in the system's temporary folder, the first three by `lockf`, ACTS by `flock`, and neither sees the
    other: this takes both.
    """

    def __init__(self, port: str, folder: Path | None = None) -> None:
        """Raises `PortBusy` when another process has it."""
        folder = folder or Path(tempfile.gettempdir())
        self.path = folder / f"monsoon.{os.uname().sysname}.{Path(port).name}"
        self._file = -1
        try:
            self._file = _opened(self.path)
            for lock in (fcntl.flock, fcntl.lockf):
                lock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise PortBusy(
                f"{port} is in use by another process, which holds {self.path} ({error.strerror}); stop the one that "
                f"`fuser {self.path}` names, or remove that file if there is none"
            ) from error

    def release(self) -> None:
        """Let the others have it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> PortLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def _opened(path: Path) -> int:
    with suppress(FileNotFoundError):  # O_CREAT would refuse another user's file in a sticky folder
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    os.fchmod(file, 0o666)  # whatever the umask: other users lock it too
    return file
