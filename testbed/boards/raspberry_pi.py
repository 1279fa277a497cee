"""A Raspberry Pi 4 or 5."""

from __future__ import annotations

from typing import Literal

from testbed.boards.draw import KNOWN_DRAW
from testbed.boards.real import RealBoard
from testbed.config.plugins import Draw


class RaspberryPi(RealBoard):
    """As any Linux, with the firmware's own word on clocks and throttling."""

    kind: Literal["raspberry-pi"]
    model: Literal["raspberry-pi-4", "raspberry-pi-5"] | None = None
    """which board it is; `doctor` then knows what a meter must bear"""

    @property
    def opener(self) -> str:
        return "testbed.agent.boards.raspberry_pi:open_board"

    @property
    def draw(self) -> Draw | None:
        return KNOWN_DRAW[self.model] if self.model else None
