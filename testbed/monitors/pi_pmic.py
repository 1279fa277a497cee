"""`kind: pi-pmic`: what a Raspberry Pi 5's power-management chip tells of its rails."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from power import PiPmic, pi_pmic
from testbed.config.plugins import Attached
from testbed.config.quantities import Hertz
from testbed.monitors.on_board import OnBoardMonitor


class PiPmicMonitor(OnBoardMonitor):
    """Each reading runs `vcgencmd` on the board."""

    kind: Literal["pi-pmic"]
    gain_standard_uncertainty: float = Field(default=pi_pmic.GAIN_STANDARD_UNCERTAINTY, ge=0, le=1)
    """relative; the default is a guess, to be replaced by a comparison with a meter in the supply line"""
    rate_hz: Hertz = Field(default=10.0, gt=0, le=100)

    @classmethod
    def attached(cls, root: Path) -> Iterable[Attached]:
        model = root / "proc/device-tree/model"
        if model.exists() and "Raspberry Pi 5" in model.read_text():
            yield Attached(str(model), "the power-management chip of this Raspberry Pi 5", {"kind": "pi-pmic"})

    def board_sensor(self) -> PiPmic:
        return PiPmic(gain_standard_uncertainty=self.gain_standard_uncertainty)
