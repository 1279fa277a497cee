"""What an agent may need to touch on a board, and how it is let."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Permission:
    """A right to files of one kind."""

    what: str
    needed_for: str
    pattern: str
    """as a shell has it"""
    mode: Literal["r", "w", "rw"]
    for_good: str = ""
    """what gives it over restarts too, where no group has it from the start"""

    def cure(self, user: str, group: str | None) -> str:
        """The command that grants it; `group` is the one that has the right already, where there is one."""
        if group is not None:
            return f"sudo usermod -aG {group} {user}, then log in again"
        until = f"until the next restart; {self.for_good}" if self.for_good else "until the next restart"
        return f"sudo chmod a+{self.mode} {self.pattern} ({until}), or have the agent's user be root"


_BY_GROUP = "packaging/testbed-board.conf gives it to a group, for good"

PERMISSIONS = (
    Permission(
        "CPU clocks",
        "a frequency of cpu",
        "/sys/devices/system/cpu/cpufreq/policy*/scaling_m[ai]?_freq",
        "w",
        _BY_GROUP,
    ),
    Permission("other clocks", "a frequency of gpu", "/sys/class/devfreq/*/m[ai]?_freq", "w", _BY_GROUP),
    Permission("GPIO lines", "board.marker", "/dev/gpiochip*", "rw"),
    Permission("I2C buses", "monitor ina-i2c", "/dev/i2c-*", "rw"),
)
