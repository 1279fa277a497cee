"""A simulated board: silicon by a law, everything else real."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from testbed.boards.draw import KNOWN_DRAW
from testbed.config.loader import Strict
from testbed.config.plugins import BoardSettings, Draw
from testbed.config.quantities import Seconds
from testbed.errors import BenchError


class VirtualClock(Strict):
    """How the board's own clock differs from the controller's."""

    offset_s: Seconds = Field(default=7.25, ge=-1e6, le=1e6)
    drift_ppm: float = Field(default=18.0, ge=-500, le=500)


class VirtualBoard(BoardSettings):
    """Its agent is a process of its own, on a clock of its own."""

    kind: Literal["virtual"]
    profile: Literal["jetson-agx-orin", "raspberry-pi-5"] | None = None
    """a board whose figures are published; absent: `from` says which power model it is built after"""
    from_model: Path | None = Field(default=None, alias="from")
    """file of `testbed calibrate`, relative to the bench file: a twin of the board that was calibrated"""
    clock: VirtualClock = VirtualClock()
    marker: bool = True
    """whether a wire of the board goes to the meter's marker input"""
    thermal_time_scale: float = Field(default=1.0, gt=0, le=1)
    """1: heats up as slowly as the real board; less: sooner, so that a short demo sees it"""
    power_mode: str | None = None
    """by its name, of a board that has any; absent: as it is"""
    cores_on: int | None = Field(default=None, ge=1, le=1024)
    """how many are on, the first ones; absent: all"""
    governor: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+$")
    """of the CPU's clocks while no action holds them; absent: as it is"""

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _one_board(self) -> VirtualBoard:
        if (self.profile is None) == (self.from_model is None):
            raise ValueError("give either 'profile' (a published board) or 'from' (a power model to build it after)")
        return self

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
        labels = []
        if self.thermal_time_scale != 1:
            labels.append(f"thermal time constants shortened to {self.thermal_time_scale:g} of the board's")
        if self.from_model is not None:
            labels.append(f"the board is a twin built after the power model {self.from_model.name}")
        return tuple(labels)

    @property
    def draw(self) -> Draw | None:
        return None if self.profile is None else KNOWN_DRAW[self.profile]

    @property
    def marker_wired(self) -> bool:
        return self.marker

    def anchored(self, folder: Path) -> VirtualBoard:
        if self.from_model is None:
            return self
        return self.model_copy(update={"from_model": folder / self.from_model})

    def agent_config(self, supply: Path | None, seed: int) -> dict[str, object]:
        return {
            "profile": self.profile,
            "twin_of": None if self.from_model is None else _content(self.from_model),
            "supply": str(supply),
            "clock_offset_s": self.clock.offset_s,
            "clock_drift_ppm": self.clock.drift_ppm,
            "marker": self.marker,
            "thermal_time_scale": self.thermal_time_scale,
            "seed": seed,
            "power_mode": self.power_mode,
            "cores_on": self.cores_on,
            "governor": self.governor,
        }


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BenchError(f"board.from: {path} cannot be read: {error.strerror}") from None
