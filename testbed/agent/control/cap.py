"""A clock that software can only cap: the memory controller's and the DLAs' on Jetsons.

Paths and units (Hz, -1 or 0 for no cap): NVIDIA's nvpmodel configuration files for JetPack 5 and 6.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.agent.control.files import number, put, text
from testbed.agent.guard.undo import Step, write_back


@dataclass(frozen=True, slots=True)
class Cap:
    """One such clock; of a DLA its core's."""

    name: str
    path: Path
    steps_hz: Sequence[float]
    """caps that this board's power modes use, ascending"""

    @property
    def writable(self) -> bool:
        """Whether this user may set it, on a file system that can be written."""
        return os.access(self.path, os.W_OK)

    def cap_hz(self) -> float | None:
        """As read back; None without one."""
        told = number(self.path)
        return None if told is None or told <= 0 else float(told)

    def hold(self, cap_hz: float) -> None:
        """Raises ControlRefused."""
        put(self.path, str(round(cap_hz)))

    def as_found(self) -> Step:
        """The step that brings back what stands there now."""
        return write_back(self.path, text(self.path))
