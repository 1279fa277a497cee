"""Whether something slows the board down: heat, current, a supply too weak.

Jetsons: cooling devices named "...-throttle-alert" and "hot-surface-alert" are above 0 while they throttle, and
soctherm_oc counts events (NVIDIA Jetson Linux r35 and r36, "Jetson Orin ..."; that the counts of oc1, oc2 and oc3 are
under-voltage, average and instantaneous over-current holds for Orin; other modules are unconfirmed). Raspberry Pis:
`vcgencmd get_throttled` (Raspberry Pi documentation). x86: counts of the processor's own thermal throttling.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from testbed.agent.control.files import text
from testbed.agent.telemetry.files import OpenFile

_ALERT = re.compile(r".*-throttle-alert|hot-surface-alert")
_EVENTS = {"oc1": "under-voltage", "oc2": "average over-current", "oc3": "instantaneous over-current"}
_PI_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""as they are now; 16 bits higher, since the boot"""
_TOOL_S = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """What throttles the board at one moment."""

    active: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """cause -> how often so far"""

    def since(self, before: Look) -> tuple[str, ...]:
        """What throttled at either moment, or between them."""
        grown = [cause for cause, count in self.counts.items() if count > before.counts.get(cause, 0)]
        return tuple(sorted({*before.active, *self.active, *grown}))


class Throttling(Protocol):
    """One way to see it."""

    @property
    def tells(self) -> bool:
        """Whether this board tells of throttling at all."""

    def look(self) -> Look: ...

    def close(self) -> None: ...


class KernelThrottling:
    """As the kernel's files tell: a Jetson's, or an x86 host's. None of them: nothing is ever seen."""

    def __init__(self, root: Path) -> None:
        thermal = root / "sys/class/thermal"
        counts: dict[str, Path] = {}
        self._alerts = {
            name: OpenFile(device / "cur_state")
            for device in sorted(thermal.glob("cooling_device*"))
            if _ALERT.fullmatch(name := text(device / "type"))
        }
        for monitor in (root / "sys/class/hwmon").glob("hwmon*"):
            if text(monitor / "name") == "soctherm_oc":
                counts |= {_EVENTS.get(path.name[:3], path.name[:3]): path for path in monitor.glob("oc*_event_cnt")}
        for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_throttle_count"):
            counts[f"thermal throttling of {path.parent.parent.name}, {path.name.partition('_')[0]}"] = path
        self._counts = {cause: OpenFile(path) for cause, path in sorted(counts.items())}

    @property
    def tells(self) -> bool:
        """Whether this kernel tells of throttling at all."""
        return bool(self._alerts or self._counts)

    def look(self) -> Look:
        """Now."""
        active = tuple(name for name, file in self._alerts.items() if file.number())
        counts = {cause: file.number() for cause, file in self._counts.items()}
        return Look(active, {cause: int(count) for cause, count in counts.items() if count is not None})

    def close(self) -> None:
        """Close the files."""
        for file in (*self._alerts.values(), *self._counts.values()):
            file.close()


class PiThrottling:
    """As a Raspberry Pi's firmware tells. What it has seen since the boot stays set: a second time does not show."""

    def __init__(self, vcgencmd: str | None) -> None:
        self._vcgencmd = vcgencmd

    @property
    def tells(self) -> bool:
        """Whether there is a program to ask."""
        return self._vcgencmd is not None

    def look(self) -> Look:
        """Now; nothing where the firmware cannot be asked."""
        said = ask_firmware(self._vcgencmd, "get_throttled")
        match = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)", said)
        if match is None:
            return Look()
        bits = int(match[1], 16)
        active = tuple(cause for bit, cause in _PI_BITS.items() if bits >> bit & 1)
        return Look(active, {cause: bits >> (bit + 16) & 1 for bit, cause in _PI_BITS.items()})

    def close(self) -> None:
        """Nothing stays open."""


def ask_firmware(vcgencmd: str | None, *question: str) -> str:
    """What `vcgencmd` says; empty where it cannot be run, or fails."""
    if vcgencmd is None:
        return ""
    try:
        done = subprocess.run([vcgencmd, *question], capture_output=True, text=True, timeout=_TOOL_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
