"""A simulated board: silicon by a law, everything else real."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from testbed.boards.draw import KNOWN_DRAW
from testbed.config.loader import Strict
from testbed.config.plugins import BoardSettings, Draw
from testbed.config.quantities import Seconds


class VirtualClock(Strict):
    """How the board's own clock differs from the controller's."""

    offset_s: Seconds = Field(default=7.25, ge=-1e6, le=1e6)
    drift_ppm: float = Field(default=18.0, ge=-500, le=500)


class VirtualBoard(BoardSettings):
    """Its agent is a process of its own, on a clock of its own."""

    kind: Literal["virtual"]
    profile: Literal["jetson-agx-orin", "raspberry-pi-5"]
    clock: VirtualClock = VirtualClock()
    marker: bool = True
    """whether a wire of the board goes to the meter's marker input"""
    thermal_time_scale: float = Field(default=1.0, gt=0, le=1)
    """1: heats up as slowly as the real board; less: sooner, so that a short demo sees it"""

    @property
    def opener(self) -> str:
        return "testbed.virtual.board:open_board"

    @property
    def packages(self) -> tuple[str, ...]:
        return ("testbed.virtual",)

    @property
    def provenance(self) -> Literal["virtual", "measured"]:
        return "virtual"

    @property
    def labels(self) -> tuple[str, ...]:
        if self.thermal_time_scale == 1:
            return ()
        return (f"thermal time constants shortened to {self.thermal_time_scale:g} of the board's",)

    @property
    def draw(self) -> Draw | None:
        return KNOWN_DRAW[self.profile]

    @property
    def marker_wired(self) -> bool:
        return self.marker

    def agent_config(self, supply: Path | None, seed: int) -> dict[str, object]:
        return {
            "profile": self.profile,
            "supply": str(supply),
            "clock_offset_s": self.clock.offset_s,
            "clock_drift_ppm": self.clock.drift_ppm,
            "marker": self.marker,
            "thermal_time_scale": self.thermal_time_scale,
            "seed": seed,
        }
