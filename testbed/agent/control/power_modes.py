"""A Jetson's power modes, by their names: ids move between releases of NVIDIA's software.

What `nvpmodel` prints and asks is as its users published it (JetPack 4 to 7); none has been run here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from testbed.agent.control.files import ControlRefused, text
from testbed.agent.control.tools import find_tool
from testbed.agent.guard.undo import Step, run_again

_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>")
_SECTION = re.compile(r"<\s*(PARAM|PM_CONFIG|POWER_MODEL)\b")
_QUERIED = re.compile(r"NV Power Mode:\s*(\S+)\s+(\d+)")
_STATUS = re.compile(r"pmode:0*(\d+)")
_STATUS_FILE = "var/lib/nvpmodel/status"
_REBOOT = re.compile(r"reboot required", re.IGNORECASE)
_TIMEOUT_S = 60.0
_BOOT, _STAY = "YES\n", "NO\n"
"""to "DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:", which is asked where a mode needs a boot"""


class NeedsBoot(ControlRefused):
    """A mode that this board enters only by a boot; nothing was changed."""


@dataclass(frozen=True, slots=True)
class PowerMode:
    """One mode of /etc/nvpmodel.conf."""

    id: int
    name: str
    caps_hz: Mapping[str, float] = field(default_factory=dict)
    """clock as the file names it ("EMC", "DLA0_CORE") -> its MAX_FREQ; absent where there is no limit"""


def read_modes(configuration: str) -> list[PowerMode]:
    """The modes of an nvpmodel.conf, in its order; lines that are none are passed over."""
    modes: list[PowerMode] = []
    caps_hz: dict[str, float] | None = None
    for line in configuration.splitlines():
        if match := _MODE.search(line):
            caps_hz = {}
            modes.append(PowerMode(int(match[1]), match[2], caps_hz))
        elif _SECTION.search(line):
            caps_hz = None
        elif caps_hz is not None:
            words = line.split()
            if len(words) == 3 and words[1] == "MAX_FREQ" and words[2].isdigit() and int(words[2]):
                caps_hz[words[0]] = float(words[2])
    return modes


class PowerModes:
    """Those of the board this runs on."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.modes = read_modes(text(root / "etc/nvpmodel.conf"))
        self._tool = find_tool("nvpmodel", root)

    @property
    def there(self) -> bool:
        """Whether this board has any."""
        return bool(self.modes and self._tool)

    @property
    def may_enter(self) -> bool:
        """Whether this user may change the mode: as root, where its status may be written, or as sudo allows without a
        password."""
        if self._unaided or not self.there:
            return True
        try:
            return not self._run(["sudo", "-n", "-l", str(self._tool), "-m", "0"], "")[1]
        except ControlRefused:
            return False

    def current(self) -> PowerMode | None:
        """The one in force: by its status file, else by `nvpmodel -q`. None where neither tells."""
        match = _STATUS.search(text(self._root / _STATUS_FILE))
        told = int(match[1]) if match else self._queried()
        return next((mode for mode in self.modes if mode.id == told), None)

    def caps_hz(self, clock: str) -> tuple[float, ...]:
        """What the modes cap a clock at, ascending."""
        return tuple(sorted({mode.caps_hz[clock] for mode in self.modes if clock in mode.caps_hz}))

    def named(self, name: str) -> PowerMode:
        """ "MODE_30W", "30W" and "30w" are one. Raises ControlRefused with those there are."""
        by_name = {_plain(mode.name): mode for mode in self.modes}
        if _plain(name) in by_name:
            return by_name[_plain(name)]
        near = get_close_matches(_plain(name), by_name, n=1, cutoff=0.5)
        hint = f"did you mean '{by_name[near[0]].name}'? " if near else ""
        there = ", ".join(mode.name for mode in self.modes) or "none"
        raise ControlRefused(f"power mode '{name}' does not exist on this board; {hint}It has: {there}")

    def enter(self, mode: PowerMode) -> None:
        """Have the board in a mode. Raises ControlRefused; NeedsBoot, with nothing changed, where it takes a boot."""
        said, status = self._run(self._command(mode), _STAY)
        if _REBOOT.search(said):
            raise NeedsBoot(
                f"power mode '{mode.name}' needs a boot of the board: allow it with `allow_reboot: true` under "
                f"'board' of the bench file, or set it by hand (`sudo nvpmodel -m {mode.id}`)"
            )
        now = self.current()
        if status or now is None or now.id != mode.id:
            last = said.strip().splitlines()[-1:] or [f"status {status}"]
            held = f"'{now.name}'" if now else "unknown"
            raise ControlRefused(
                f"power mode '{mode.name}' cannot be set, the mode is {held}: {last[0]}; where only root may, run the "
                "agent as root, or install packaging/testbed-board.sudoers on the board"
            )

    def boot_into(self, mode: PowerMode) -> None:
        """Have the board go down, to come back in a mode. Always raises ControlRefused: it is not there yet."""
        self._run(self._command(mode), _BOOT)
        raise ControlRefused(f"the board boots into power mode '{mode.name}', which stays: wait for it, then try again")

    def back_to(self, mode: PowerMode) -> Step:
        """The step that brings a mode back, where that takes no boot."""
        return run_again(self._command(mode), _STAY)

    def _command(self, mode: PowerMode) -> list[str]:
        assert self._tool is not None
        return [*([] if self._unaided else ["sudo", "-n"]), self._tool, "-m", str(mode.id)]

    @property
    def _unaided(self) -> bool:
        return os.geteuid() == 0 or os.access(self._root / _STATUS_FILE, os.W_OK)

    def _queried(self) -> int | None:
        if self._tool is None:
            return None
        match = _QUERIED.search(self._run([self._tool, "-q"], "")[0])
        return int(match[2]) if match else None

    def _run(self, command: Sequence[str], answer: str) -> tuple[str, int]:
        try:
            done = subprocess.run(
                command,
                input=answer,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ControlRefused(f"`{' '.join(command)}` cannot be run: {error}") from None
        return done.stdout, done.returncode


def _plain(name: str) -> str:
    return name.upper().removeprefix("MODE_")
