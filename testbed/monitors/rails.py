"""`kind: rails`: supply rails that the board's kernel shows, a Jetson's own or those of any hwmon chip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from power import Accuracy, HwmonChip, JetsonRails
from power.on_board import BoardSensor
from testbed.config.loader import Strict
from testbed.config.plugins import Attached
from testbed.config.quantities import Hertz, Ohms, Seconds, Watts
from testbed.monitors.on_board import OnBoardMonitor


class ChipSettings(Strict):
    """A hwmon chip that is no Jetson's own, with what its datasheet says of it as it is soldered."""

    name: str = Field(min_length=1)
    """as in /sys/class/hwmon/hwmon*/name"""
    total: list[str] = Field(min_length=1)
    """labels of the rails whose sum the board draws; an input without label is called by its file, such as power1"""
    gain_limit: float = Field(gt=0, le=0.5)
    """of power, relative, the shunt's tolerance with it"""
    offset_limit_w: Watts = Field(ge=0)
    step_w: Watts = Field(gt=0)
    conversion_s: Seconds = Field(gt=0)
    """what one reading averages over"""
    refresh_s: Seconds = Field(gt=0)
    """how often there is a new one"""


class RailsMonitor(OnBoardMonitor):
    """A Jetson is recognised by its device tree; its total is that of its kind."""

    kind: Literal["rails"]
    chip: ChipSettings | None = None
    """absent: the Jetson's own INA3221"""
    rails: list[str] | None = None
    """of a Jetson, what to read beside the total's rails; absent: all, which takes longer"""
    shunt_ohm: Ohms | None = Field(default=None, gt=0)
    """of a Jetson, absent: as its driver says"""
    voltage_divisor: int = Field(default=8, ge=1, le=255)
    """voltages are read in every so-many-th sweep"""
    rate_hz: Hertz = Field(default=50.0, gt=0, le=1000)

    @classmethod
    def attached(cls, root: Path) -> Iterable[Attached]:
        drivers = root / "sys/bus/i2c/drivers"
        chips = sorted(chip.name for chip in drivers.glob("ina3221*/*-00*"))
        if chips:
            yield Attached(str(drivers), f"INA3221 rails of this board, I2C {', '.join(chips)}", {"kind": "rails"})

    def board_sensor(self) -> BoardSensor:
        if self.chip is None:
            return JetsonRails(rails=self.rails, shunt_ohm=self.shunt_ohm, voltage_divisor=self.voltage_divisor)
        chip = self.chip
        accuracy = Accuracy(chip.gain_limit, chip.offset_limit_w, chip.step_w, chip.conversion_s, chip.refresh_s)
        return HwmonChip(chip.name, total=chip.total, accuracy=accuracy, voltage_divisor=self.voltage_divisor)
