"""A channel of a Monsoon that is read beside the one the board hangs on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from power import MonsoonInput
from testbed.config.loader import Strict
from testbed.config.quantities import Volts


class OtherInput(Strict):
    """One entry of `also`."""

    channel: Literal["main", "usb", "aux"]
    supply_voltage_v: Volts = Field(gt=0)
    """what Main is set to, or what the supply behind it is regulated to"""
    supply_voltage_tolerance: float = Field(default=0.01, gt=0, le=0.1)
    counts: bool = True
    """whether its power is part of what the board draws"""

    def as_input(self) -> MonsoonInput:
        """For the driver."""
        return MonsoonInput(
            self.channel, self.supply_voltage_v, self.supply_voltage_tolerance / 3**0.5, counts=self.counts
        )
