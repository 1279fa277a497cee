"""A serial port that one process owns and that fails in clear words."""

from __future__ import annotations

import errno
from types import TracebackType

import serial

from power.errors import MonitorGone, PortBusy, PortMissing

WRITE_TIMEOUT_S = 1.0


class Port:
    """An exclusively opened serial port (a PTY will do). A context manager; `close` is safe at any time."""

    def __init__(self, path: str, baud: int) -> None:
        self.path = path
        try:
            self._serial = serial.Serial(path, baud, timeout=0, write_timeout=WRITE_TIMEOUT_S, exclusive=True)
        except (serial.SerialException, OSError) as error:
            raise _cannot_open(path, error) from error

    def __enter__(self) -> Port:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def read(self, wait_s: float) -> bytes:
        """Every byte that has arrived; waits for the first one, at most `wait_s`. Raises `MonitorGone`."""
        try:
            if self._serial.timeout != wait_s:  # to set it costs as much as to read
                self._serial.timeout = wait_s
            first: bytes = self._serial.read(1)
            waiting = self._serial.in_waiting if first else 0
            return first + self._serial.read(waiting) if waiting else first
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def write(self, data: bytes) -> None:
        """Send all of it. Raises `MonitorGone`, also when the device takes nothing for a second."""
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def close(self) -> None:
        self._serial.close()

    def _gone(self, error: Exception) -> MonitorGone:
        return MonitorGone(f"the device on {self.path} is gone ({error}); plug it in again and reopen")


def _cannot_open(path: str, error: Exception) -> PortMissing | PortBusy:
    code = getattr(error, "errno", None)
    if code in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        return PortBusy(f"{path} is in use by another process; stop the one that `fuser {path}` names")
    if code == errno.EACCES:
        return PortMissing(f"no permission to open {path}; add yourself to its group (often dialout) and log in again")
    return PortMissing(f"cannot open {path} ({error}); is the monitor plugged in, and is this its port?")
