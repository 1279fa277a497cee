"""Files of the kernel that are read again and again: opened once, read anew from their beginning each time."""

from __future__ import annotations

import os
from pathlib import Path

_BYTES = 4096


class OpenFile:
    """One file. A sensor that does not answer now is asked again next time; one that vanished may come back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def read(self) -> bytes:
        """What it says now; empty where it says nothing: its device is gated (EAGAIN), or gone."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            return os.pread(self._descriptor, _BYTES, 0)
        except BlockingIOError:
            return b""
        except OSError:
            self.close()
            return b""

    def number(self) -> float | None:
        """The number it holds; None where it holds none."""
        try:
            return float(self.read())
        except ValueError:
            return None

    def close(self) -> None:
        """Twice does no harm."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
