"""What a tree shows, as plain values: they go to the process that serves it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock with listed steps."""

    steps_hz: tuple[int, ...]
    """ascending"""
    throttled_hz: int
    """what remains of it when the board throttles"""


@dataclass(frozen=True, slots=True)
class Cap:
    """A clock that can only be capped."""

    name: str
    """the processor, or "emc\""""
    path: str
    highest_hz: int
    uncapped_hz: int
    """what its file says without a cap"""


@dataclass(frozen=True, slots=True)
class Mode:
    """A power mode of nvpmodel; 0: no limit."""

    name: str
    cores: int
    cpu_hz: int = 0
    gpu_hz: int = 0
    emc_hz: int = 0
    dla_hz: int = 0


@dataclass(frozen=True, slots=True)
class Hardware:
    """One board."""

    device_tree: dict[str, str]
    clusters: tuple[tuple[int, ...], ...]
    """the cores of each cpufreq policy"""
    cpu: Clock
    gpu: Clock | None = None
    gpu_folder: str = ""
    """of its devfreq device"""
    caps: tuple[Cap, ...] = ()
    zones: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    """cooling devices that are above 0 while the board throttles"""
    modes: tuple[Mode, ...] = ()
    """the first is in force when the tree appears"""
    firmware: bool = False
    """whether it answers `vcgencmd`, as a Raspberry Pi's does"""

    @property
    def cores(self) -> int:
        """How many there are."""
        return sum(map(len, self.clusters))

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Hardware:
        """What `to_json` wrote."""
        told = json.loads(text)
        return Hardware(
            device_tree=told["device_tree"],
            clusters=tuple(map(tuple, told["clusters"])),
            cpu=_clock(told["cpu"]),
            gpu=_clock(told["gpu"]) if told["gpu"] else None,
            gpu_folder=told["gpu_folder"],
            caps=tuple(Cap(**cap) for cap in told["caps"]),
            zones=tuple(told["zones"]),
            alerts=tuple(told["alerts"]),
            modes=tuple(Mode(**mode) for mode in told["modes"]),
            firmware=told["firmware"],
        )


def _clock(told: dict[str, Any]) -> Clock:
    return Clock(tuple(told["steps_hz"]), told["throttled_hz"])
