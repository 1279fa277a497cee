"""The INA219 and INA226 current sensors: configuration register, steps and error limits.

Source: Texas Instruments datasheets SBOS448 (INA219, grade A or better) and SBOS547 (INA226). Limits are taken as
rectangular distributions: a standard uncertainty is the limit over the square root of 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from power.monitor import Channel


@dataclass(frozen=True, slots=True)
class SensorModel:
    """One kind of chip. Times in s, voltages in V."""

    name: str
    code: int
    """how the bridge's protocol calls it"""
    shunt_lsb_v: float
    """step of the shunt voltage register"""
    bus_lsb_v: float
    bus_shift: int
    """bits of the bus voltage register below its value"""
    gain_limit: float
    """of current and bus voltage alike, relative"""
    shunt_offset_limit_v: float
    ranges_v: Mapping[float, int]
    """full scale of the shunt voltage -> field of the configuration register"""
    conversions_s: Mapping[float, int]
    """duration of one conversion -> field"""
    averages: Mapping[int, int]
    """conversions averaged into a sample -> field"""


INA219 = SensorModel(
    name="ina219",
    code=0x19,
    shunt_lsb_v=10e-6,
    bus_lsb_v=4e-3,
    bus_shift=3,
    gain_limit=0.005,
    shunt_offset_limit_v=100e-6,
    ranges_v={0.04: 0, 0.08: 1, 0.16: 2, 0.32: 3},
    conversions_s={84e-6: 0, 148e-6: 1, 276e-6: 2, 532e-6: 3},
    averages={1: 8, 2: 9, 4: 10, 8: 11, 16: 12, 32: 13, 64: 14, 128: 15},
)
INA226 = SensorModel(
    name="ina226",
    code=0x26,
    shunt_lsb_v=2.5e-6,
    bus_lsb_v=1.25e-3,
    bus_shift=0,
    gain_limit=0.001,
    shunt_offset_limit_v=10e-6,
    ranges_v={0.08192: 0},
    conversions_s={140e-6: 0, 204e-6: 1, 332e-6: 2, 588e-6: 3, 1.1e-3: 4, 2.116e-3: 5, 4.156e-3: 6, 8.244e-3: 7},
    averages={1: 0, 4: 1, 16: 2, 64: 3, 128: 4, 256: 5, 512: 6, 1024: 7},
)
MODELS: Mapping[str, SensorModel] = {model.name: model for model in (INA219, INA226)}

_CONTINUOUS_SHUNT_AND_BUS = 0b111
_INA219_BUS_32V = 1 << 13
_INA226_RESERVED = 1 << 14
"""bit 14 reads as 1"""
_INA219_AVERAGED_S = 532e-6
"""the INA219 averages 12-bit conversions only"""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One chip as it is soldered and set up. Raises `ValueError` for a setting the chip does not have."""

    model: SensorModel
    shunt_ohm: float
    range_v: float
    conversion_s: float
    averages: int

    def __post_init__(self) -> None:
        for what, value, known in (
            ("range_v", self.range_v, self.model.ranges_v),
            ("conversion_s", self.conversion_s, self.model.conversions_s),
            ("averages", self.averages, self.model.averages),
        ):
            if value not in known:
                choices = ", ".join(f"{choice:g}" for choice in known)
                raise ValueError(f"{what}: an {self.model.name} has no {value:g}; choose one of {choices}")
        if self.model is INA219 and self.averages > 1 and self.conversion_s != _INA219_AVERAGED_S:
            raise ValueError(f"averages: an ina219 averages with conversion_s={_INA219_AVERAGED_S:g} only")
        if self.shunt_ohm <= 0:
            raise ValueError(f"shunt_ohm must be positive, got {self.shunt_ohm:g}")

    @property
    def register(self) -> int:
        """The configuration register for continuous conversion of shunt and bus voltage."""
        model = self.model
        speed, averages = model.conversions_s[self.conversion_s], model.averages[self.averages]
        if model is INA226:
            return _INA226_RESERVED | averages << 9 | speed << 6 | speed << 3 | _CONTINUOUS_SHUNT_AND_BUS
        adc = averages if self.averages > 1 else speed
        return _INA219_BUS_32V | model.ranges_v[self.range_v] << 11 | adc << 7 | adc << 3 | _CONTINUOUS_SHUNT_AND_BUS

    @property
    def aperture_s(self) -> float:
        """The time one shunt reading averages over."""
        return self.conversion_s * self.averages

    @property
    def period_s(self) -> float:
        """The time of one shunt and one bus conversion: the sensor has nothing new more often."""
        return 2.0 * self.aperture_s

    @property
    def current_lsb_a(self) -> float:
        """The step of the current readings: the register's, or the 12- to 9-bit converter's where that is coarser."""
        if self.model is INA226:
            return self.model.shunt_lsb_v / self.shunt_ohm
        steps = 1 << self.model.ranges_v[self.range_v] + self._bits_below_12
        return self.model.shunt_lsb_v * steps / self.shunt_ohm

    @property
    def voltage_lsb_v(self) -> float:
        """The step of the bus voltage readings."""
        return self.model.bus_lsb_v * (1 if self.model is INA226 else 1 << self._bits_below_12)

    @property
    def _bits_below_12(self) -> int:
        return 3 - self.model.conversions_s[self.conversion_s]

    @property
    def gain_standard_uncertainty(self) -> float:
        """Of power, relative, without the shunt resistor: current and bus voltage have their own."""
        return self.voltage_gain_standard_uncertainty * math.sqrt(2.0)

    @property
    def voltage_gain_standard_uncertainty(self) -> float:
        """Of the bus voltage, relative."""
        return self.model.gain_limit / math.sqrt(3.0)

    @property
    def offset_standard_uncertainty_a(self) -> float:
        return self.model.shunt_offset_limit_v / math.sqrt(3.0) / self.shunt_ohm

    def channel(self, supply_v: float, shunt_standard_uncertainty: float) -> Channel:
        """How well it tells the power of a supply of this nominal voltage; the shunt's uncertainty is relative."""
        voltage_step = self.voltage_lsb_v / math.sqrt(12.0) / supply_v
        return Channel(
            "supply",
            power_lsb_w=self.current_lsb_a * supply_v,
            # A regulated supply does not dither the bus voltage's steps: their error is one of scale.
            gain_standard_uncertainty=math.hypot(
                self.gain_standard_uncertainty, shunt_standard_uncertainty, voltage_step
            ),
            offset_standard_uncertainty_w=self.offset_standard_uncertainty_a * supply_v,
            voltage_standard_uncertainty=math.hypot(self.voltage_gain_standard_uncertainty, voltage_step),
        )
