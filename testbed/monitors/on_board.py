"""What every kind of meter that sits on the board itself has in common: it is read where the board's agent runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from power import OnBoard, Place
from power.on_board import BoardSensor
from testbed.config.plugins import BoardSettings, MonitorSettings, Program
from testbed.config.quantities import Hertz


class OnBoardMonitor(MonitorSettings):
    """Reached the way the board's agent is, by a small program that needs Python there and nothing of ours."""

    rate_hz: Hertz = Field(gt=0, le=2000)
    """readings a second to ask for; a board too slow for it gets fewer, and says so"""

    @abstractmethod
    def board_sensor(self) -> BoardSensor:
        """The sensor on the board."""

    @property
    def emulated(self) -> bool:
        return False

    def far_end(self, supply: Path, supply_voltage_v: float, seed: int) -> Program | None:
        return None

    def build(self, board: BoardSettings, far_end: Mapping[str, Any] | None) -> OnBoard:
        agent = board.agent
        return OnBoard(
            self.board_sensor(),
            rate_hz=self.rate_hz,
            place=Place(agent.via, ssh_config=agent.ssh_config, python=agent.python),
        )

    def wiring_problems(self, board: BoardSettings) -> list[str]:
        return []
