"""Any board that runs Linux, or the controller's own host."""

from __future__ import annotations

from typing import Literal

from testbed.boards.draw import KNOWN_DRAW, BoardModel
from testbed.boards.real import RealBoard
from testbed.config.plugins import Draw


class LinuxBoard(RealBoard):
    """What every Linux has: cpufreq, cores, temperatures."""

    kind: Literal["linux"]
    model: BoardModel | None = None
    """which board it is; `doctor` then knows what a meter must bear"""

    @property
    def opener(self) -> str:
        return "testbed.agent.boards.linux:open_board"

    @property
    def draw(self) -> Draw | None:
        return KNOWN_DRAW[self.model] if self.model else None
