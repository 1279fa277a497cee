"""What every kind of meter that sits on the board itself has in common: it is read where the board's agent runs."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from power import Corrected, OnBoard, Place, PowerMonitor
from power.on_board import BoardSensor
from testbed import rail_cards
from testbed.config.plugins import BoardSettings, MonitorSettings, Program
from testbed.config.quantities import Hertz


class OnBoardMonitor(MonitorSettings):
    """Reached the way the board's agent is, by a small program that needs Python there and nothing of ours."""

    rate_hz: Hertz = Field(gt=0, le=2000)
    """readings a second to ask for; a board too slow for it gets fewer, and says so"""

    card: Path | None = None
    """rail-to-meter card, relative to the bench file: readings become those of a meter in the board's supply"""

    @abstractmethod
    def board_sensor(self) -> BoardSensor:
        """The sensor on the board."""

    @property
    def emulated(self) -> bool:
        return False

    def far_end(self, supply: Path, supply_voltage_v: float, seed: int) -> Program | None:
        return None

    def anchored(self, folder: Path) -> MonitorSettings:
        return self if self.card is None else self.model_copy(update={"card": folder / self.card})

    def facts(self) -> dict[str, Any]:
        """What a card must agree with."""
        settings: dict[str, Any] = json.loads(self.model_dump_json(exclude={"card"}))
        return settings

    @property
    def labels(self) -> tuple[str, ...]:
        return () if self.card is None else (str(rail_cards.read(self.card, self.facts())),)

    def require_board(self, identity: Mapping[str, Any]) -> None:
        if self.card is not None:
            rail_cards.read(self.card, self.facts()).require_board(identity, self.card)

    def build(self, board: BoardSettings, far_end: Mapping[str, Any] | None) -> PowerMonitor:
        if self.card is None:
            return self.bare(board)
        record = rail_cards.read(self.card, self.facts())
        return Corrected(self.bare(board), lambda monitor: record.fitted.corrections(monitor.spec))

    def bare(self, board: BoardSettings) -> OnBoard:
        """The sensor as it reads, without a card."""
        agent = board.agent
        return OnBoard(
            self.board_sensor(),
            rate_hz=self.rate_hz,
            place=Place(agent.via, ssh_config=agent.ssh_config, python=agent.python),
        )

    def wiring_problems(self, board: BoardSettings) -> list[str]:
        return []
