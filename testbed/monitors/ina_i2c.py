"""`kind: ina-i2c`: an INA219, INA226 or INA228 in the supply line, on the board's own I2C bus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from power import InaI2c, ina_sensor
from testbed.config.plugins import BoardSettings
from testbed.config.quantities import Hertz, Ohms, Seconds, Volts
from testbed.monitors.on_board import OnBoardMonitor
from testbed.monitors.shunt import shunt_problems


class InaI2cMonitor(OnBoardMonitor):
    """The shunt stands in the board's supply line; the board reads the sensor itself."""

    kind: Literal["ina-i2c"]
    bus: int = Field(default=1, ge=0)
    """the number of /dev/i2c-N"""
    sensor: Literal["ina219", "ina226", "ina228"]
    address: int = Field(default=0x40, ge=0x40, le=0x4F)
    shunt_ohm: Ohms = Field(gt=0)
    shunt_tolerance: float = Field(default=0.01, gt=0, le=0.1)
    """limit of the resistor's error, relative; taken as rectangular"""
    range_v: Volts | None = None
    """full scale of the shunt voltage; absent: the chip's widest"""
    conversion_s: Seconds | None = None
    """one conversion; absent: the chip's longest up to 1.1 ms, at which a board can keep up"""
    averages: int = 1
    bus_divisor: int = Field(default=16, ge=1, le=255)
    """the bus voltage is read with every so-many-th sample: it moves slowly, and reading it takes time"""
    supply_voltage_v: Volts = Field(gt=0)
    """nominal voltage at the sensor"""
    rate_hz: Hertz = Field(default=400.0, gt=0, le=2000)

    @model_validator(mode="after")
    def _settings_exist(self) -> InaI2cMonitor:
        self.board_sensor()  # the driver knows what the chip has, and says so
        return self

    def board_sensor(self) -> InaI2c:
        return InaI2c(
            self.bus,
            shunt_ohm=self.shunt_ohm,
            supply_v=self.supply_voltage_v,
            sensor=self.sensor,
            address=self.address,
            shunt_standard_uncertainty=self.shunt_tolerance / 3**0.5,
            range_v=self.range_v,
            conversion_s=self.conversion_s,
            averages=self.averages,
            bus_divisor=self.bus_divisor,
        )

    def wiring_problems(self, board: BoardSettings) -> list[str]:
        range_v = self.range_v or max(ina_sensor.MODELS[self.sensor].ranges_v)
        return shunt_problems(board, self.sensor, self.supply_voltage_v, self.shunt_ohm, range_v)
