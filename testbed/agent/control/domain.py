"""A clock that software holds between two limits: a cpufreq policy, or a devfreq device.

Kernel documentation: admin-guide/pm/cpufreq.rst, ABI/testing/sysfs-class-devfreq.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.agent.control.files import ControlRefused, limits_in_order, number, put, text
from testbed.agent.guard.undo import Step, limits_back, write_back

GRID_HZ = 100e6
"""steps offered where the driver has no table of its own (intel_pstate, amd-pstate): that of a PC's multiplier"""


@dataclass(frozen=True, slots=True)
class Files:
    """What the files of a kind of clock are called, and the unit they count in."""

    low: str
    high: str
    current: tuple[str, ...]
    """the first that can be read counts"""
    steps: str
    governor: str
    governors: str
    unit_hz: float
    hardware: tuple[str, str] | None
    """the least and the greatest that the hardware can, where no table tells"""


CPUFREQ = Files(
    low="scaling_min_freq",
    high="scaling_max_freq",
    current=("scaling_cur_freq",),
    steps="scaling_available_frequencies",
    governor="scaling_governor",
    governors="scaling_available_governors",
    unit_hz=1e3,
    hardware=("cpuinfo_min_freq", "cpuinfo_max_freq"),
)
DEVFREQ = Files(
    low="min_freq",
    high="max_freq",
    current=("cur_freq",),
    steps="available_frequencies",
    governor="governor",
    governors="available_governors",
    unit_hz=1.0,
    hardware=None,
)


@dataclass(frozen=True, slots=True)
class Domain:
    """One such clock."""

    name: str
    """as it stands in records: "cpu0" for a cpufreq policy, "gpu\""""
    folder: Path
    files: Files

    @property
    def exact(self) -> bool:
        """Whether it runs at one of a table's steps; others run at about what is asked, and less when idle."""
        return bool(text(self.folder / self.files.steps))

    @property
    def switches(self) -> tuple[Path, Path]:
        """The files that limit it, from below and from above."""
        return self.folder / self.files.low, self.folder / self.files.high

    @property
    def writable(self) -> bool:
        """Whether this user may set it, on a file system that can be written."""
        return all(os.access(path, os.W_OK) for path in self.switches)

    def steps_hz(self) -> tuple[float, ...]:
        """What it can be held at, ascending; nothing where the kernel does not say."""
        if told := text(self.folder / self.files.steps).split():
            return tuple(sorted({int(word) * self.files.unit_hz for word in told if word.isdigit()}))
        if self.files.hardware is None:
            return ()
        low, high = (number(self.folder / name) for name in self.files.hardware)
        if low is None or high is None:
            return ()
        first, last = (value * self.files.unit_hz / GRID_HZ for value in (low, high))
        return tuple(step * GRID_HZ for step in range(-int(-first // 1), int(last) + 1))

    def limits_hz(self) -> tuple[float, float] | None:
        """As read back; None where they cannot be read."""
        low, high = map(number, self.switches)
        return None if low is None or high is None else (low * self.files.unit_hz, high * self.files.unit_hz)

    def current_hz(self) -> float | None:
        """What it runs at, as its driver tells; None while it does not."""
        for name in self.files.current:
            if (told := number(self.folder / name)) is not None:
                return told * self.files.unit_hz
        return None

    @property
    def governed_by(self) -> Path:
        """The file that tells its governor, and sets it."""
        return self.folder / self.files.governor

    def governor(self) -> str:
        """Empty where it has none."""
        return text(self.governed_by)

    def governors(self) -> list[str]:
        """Those there are; empty where the kernel does not say."""
        return text(self.folder / self.files.governors).split()

    def hold(self, low_hz: float, high_hz: float) -> None:
        """Limit it, in the order that the kernel takes. Raises ControlRefused."""
        low, high = (round(limit_hz / self.files.unit_hz) for limit_hz in (low_hz, high_hz))
        for path, value in limits_in_order(*self.switches, low, high):
            put(path, value)

    def govern(self, governor: str) -> None:
        """Hand it to a governor. Raises ControlRefused with those there are."""
        there = self.governors()
        if there and governor not in there:
            raise ControlRefused(f"{self.name} has no governor '{governor}'; it has: {', '.join(there)}")
        put(self.governed_by, governor)

    def as_found(self) -> Mapping[str, Step]:
        """The steps that bring its limits and its governor back to what they are now."""
        steps: dict[str, Step] = {}
        if governor := self.governor():
            steps["governor"] = write_back(self.governed_by, governor)
        low, high = map(number, self.switches)
        if low is not None and high is not None:
            steps["limits"] = limits_back(*self.switches, low, high)
        return steps
