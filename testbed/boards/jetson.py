"""An NVIDIA Jetson with NVIDIA's own Linux."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from testbed.boards.draw import KNOWN_DRAW
from testbed.boards.real import RealBoard
from testbed.config.plugins import Draw
from testbed.config.quantities import Hertz


class Jetson(RealBoard):
    """Power modes, the GPU's clock, caps of memory and DLAs beside what every Linux has."""

    kind: Literal["jetson"]
    model: (
        Literal[
            "jetson-agx-orin",
            "jetson-orin-nx",
            "jetson-orin-nano",
            "jetson-agx-xavier",
            "jetson-xavier-nx",
            "jetson-nano",
        ]
        | None
    ) = None
    """which board it is; `doctor` then knows what a meter must bear"""
    power_mode: str | None = None
    """by its name on this board, such as MAXN or 30W; absent: as it is"""
    allow_reboot: bool = False
    """whether the board may be booted to enter the power mode; it then stays in it"""
    emc_cap_hz: Hertz | None = Field(default=None, gt=0)
    """cap of the memory clock; absent: the power mode's"""
    dla_cap_hz: Hertz | None = Field(default=None, gt=0)
    """cap of every DLA's core clock while no action holds it; absent: the power mode's"""

    @property
    def opener(self) -> str:
        return "testbed.agent.boards.jetson:open_board"

    @property
    def draw(self) -> Draw | None:
        return KNOWN_DRAW[self.model] if self.model else None

    def agent_config(self, supply: Path | None, seed: int) -> dict[str, object]:
        caps_hz = {"emc": self.emc_cap_hz, "dla": self.dla_cap_hz}
        return {
            **super().agent_config(supply, seed),
            "power_mode": self.power_mode,
            "allow_reboot": self.allow_reboot,
            "caps_hz": {name: cap_hz for name, cap_hz in caps_hz.items() if cap_hz is not None},
        }
