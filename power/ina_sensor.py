"""The INA219, INA226 and INA228 current sensors: configuration registers, steps and error limits.

Source: Texas Instruments datasheets SBOS448 (INA219, grade A or better), SBOS547 (INA226) and SBOSA20 (INA228). Limits
are taken as rectangular distributions: a standard uncertainty is the limit over the square root of 3.
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
    """step of the shunt voltage register, on the widest range"""
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
INA228 = SensorModel(
    name="ina228",
    code=0x28,
    shunt_lsb_v=312.5e-9,
    bus_lsb_v=195.3125e-6,
    bus_shift=0,
    # Not confirmed: the limits are from memory of the datasheet, no chip was measured.
    gain_limit=0.0005,
    shunt_offset_limit_v=1e-6,
    ranges_v={0.16384: 0, 0.04096: 1},
    conversions_s={50e-6: 0, 84e-6: 1, 150e-6: 2, 280e-6: 3, 540e-6: 4, 1.052e-3: 5, 2.074e-3: 6, 4.12e-3: 7},
    averages={1: 0, 4: 1, 16: 2, 64: 3, 128: 4, 256: 5, 512: 6, 1024: 7},
)
MODELS: Mapping[str, SensorModel] = {model.name: model for model in (INA219, INA226, INA228)}

ALONE_FROM = 6
"""from this bus divisor on the shunt is converted alone, and the chip switched over for a bus voltage: it then pays"""
_SHUNT, _BUS, _BOTH = 0b01, 0b10, 0b11
"""what a mode converts: bits of the INA219's and the INA226's mode field, whose bit 2 makes it continuous"""
_CONTINUOUS = 0b100
_INA228_MODES = {_BUS: 0x9, _SHUNT: 0xA, _BOTH: 0xB}
_INA228_RANGE_BIT = 4
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
    bus_divisor: int = 1
    """the bus voltage is read with every so-many-th shunt voltage"""

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
        """The register that decides averaging and conversion times, while the shunt voltage is read."""
        return self._converting(_SHUNT if self._alone else _BOTH)

    @property
    def bus_register(self) -> int:
        """The same while the bus voltage is read."""
        return self._converting(_BUS if self._alone else _BOTH)

    @property
    def range_register(self) -> int:
        """The INA228's CONFIG register, which decides its range; the others have none: 0."""
        return self.model.ranges_v[self.range_v] << _INA228_RANGE_BIT if self.model is INA228 else 0

    @property
    def _alone(self) -> bool:
        return self.bus_divisor >= ALONE_FROM

    def _converting(self, what: int) -> int:
        model = self.model
        speed, averages = model.conversions_s[self.conversion_s], model.averages[self.averages]
        if model is INA228:
            return _INA228_MODES[what] << 12 | speed << 9 | speed << 6 | speed << 3 | averages
        if model is INA226:
            return _INA226_RESERVED | averages << 9 | speed << 6 | speed << 3 | _CONTINUOUS | what
        adc = averages if self.averages > 1 else speed
        return _INA219_BUS_32V | model.ranges_v[self.range_v] << 11 | adc << 7 | adc << 3 | _CONTINUOUS | what

    @property
    def aperture_s(self) -> float:
        """The time one shunt reading averages over."""
        return self.conversion_s * self.averages

    @property
    def period_s(self) -> float:
        """The time of one shunt and, in turn with it, one bus conversion: the sensor has nothing new more often."""
        return self.aperture_s if self._alone else 2.0 * self.aperture_s

    @property
    def shunt_lsb_v(self) -> float:
        """The step of the shunt voltage register."""
        return self.model.shunt_lsb_v * (self.range_v / max(self.model.ranges_v) if self.model is INA228 else 1.0)

    @property
    def current_lsb_a(self) -> float:
        """The step of the current readings: the register's, or the 12- to 9-bit converter's where that is coarser."""
        if self.model is not INA219:
            return self.shunt_lsb_v / self.shunt_ohm
        steps = 1 << self.model.ranges_v[self.range_v] + self._bits_below_12
        return self.model.shunt_lsb_v * steps / self.shunt_ohm

    @property
    def voltage_lsb_v(self) -> float:
        """The step of the bus voltage readings."""
        return self.model.bus_lsb_v * (1 << self._bits_below_12 if self.model is INA219 else 1)

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
