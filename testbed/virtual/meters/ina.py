"""Register models of the INA219, INA226 and INA228, and a sensor that converts a virtual board's current with one.

Figures are the datasheets': Texas Instruments SBOS448G (INA219), SBOS547B (INA226) and SBOSA20 (INA228).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testbed.virtual.supply import SupplyReader


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a value of the configuration register makes the converter do, over and over."""

    shunt_ns: int
    """the shunt conversion's nominal length, averaging included; 0 when the mode has none"""
    bus_ns: int
    shunt_lsb_v: float
    shunt_limit: int
    """the register saturates at plus and minus this"""
    shunt_step: int
    """the register's effective step"""
    bus_limit: int
    bus_step: int


@dataclass(frozen=True, slots=True)
class Chip:
    """One kind of sensor."""

    name: str
    model: int
    """the bridge protocol's number for it"""
    power_on: int
    """the configuration register after power-on"""
    wide: bool
    """whether shunt and bus registers have 24 bits"""
    bus_lsb_v: float
    bus_register: Callable[[int], int]
    """the bus register that shows a number of LSBs"""
    read_back: Callable[[int], int]
    """the configuration register after a value without its reset bit was written"""
    conversion: Callable[[int, int], Conversion]
    """of the value of the configuration and of the range register, which only the INA228 has"""


_RESET = 1 << 15
_SHUNT_MODES = (5, 7)  # continuous; power-down and the triggered modes leave the registers as they are
_BUS_MODES = (6, 7)


def _ina219_adc(code: int) -> tuple[int, int]:
    """Nominal length in ns and bits of an INA219 ADC setting (BADC, SADC)."""
    if code & 8:
        return (532_000, 1_060_000, 2_130_000, 4_260_000, 8_510_000, 17_020_000, 34_050_000, 68_100_000)[code & 7], 12
    return (84_000, 148_000, 276_000, 532_000)[code & 3], 9 + (code & 3)


def _ina219_conversion(configuration: int, _: int) -> Conversion:
    bus_ns, bus_bits = _ina219_adc(configuration >> 7 & 15)
    shunt_ns, shunt_bits = _ina219_adc(configuration >> 3 & 15)
    mode, range_code = configuration & 7, configuration >> 11 & 3
    return Conversion(
        shunt_ns=shunt_ns if mode in _SHUNT_MODES else 0,
        bus_ns=bus_ns if mode in _BUS_MODES else 0,
        shunt_lsb_v=10e-6,
        shunt_limit=4000 << range_code,
        # 12 bits span the range: 10 uV at +-40 mV, and twice as much with each wider range
        shunt_step=1 << range_code + 12 - shunt_bits,
        bus_limit=8000 if configuration & 1 << 13 else 4000,
        bus_step=1 << 12 - bus_bits,
    )


_INA226_CONVERSION_NS = (140_000, 204_000, 332_000, 588_000, 1_100_000, 2_116_000, 4_156_000, 8_244_000)
_INA226_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)


def _ina226_conversion(configuration: int, _: int) -> Conversion:
    averages = _INA226_AVERAGES[configuration >> 9 & 7]
    mode = configuration & 7
    return Conversion(
        shunt_ns=averages * _INA226_CONVERSION_NS[configuration >> 3 & 7] if mode in _SHUNT_MODES else 0,
        bus_ns=averages * _INA226_CONVERSION_NS[configuration >> 6 & 7] if mode in _BUS_MODES else 0,
        shunt_lsb_v=2.5e-6,
        shunt_limit=32767,
        shunt_step=1,
        bus_limit=28800,  # 36 V
        bus_step=1,
    )


_INA228_CONVERSION_NS = (50_000, 84_000, 150_000, 280_000, 540_000, 1_052_000, 2_074_000, 4_120_000)


def _ina228_conversion(configuration: int, range_register: int) -> Conversion:
    averages, mode = _INA226_AVERAGES[configuration & 7], configuration >> 12
    continuous = mode & 8
    return Conversion(
        shunt_ns=averages * _INA228_CONVERSION_NS[configuration >> 6 & 7] if continuous and mode & 2 else 0,
        bus_ns=averages * _INA228_CONVERSION_NS[configuration >> 9 & 7] if continuous and mode & 1 else 0,
        shunt_lsb_v=78.125e-9 if range_register & 0x10 else 312.5e-9,
        shunt_limit=0x7FFFF,
        shunt_step=1,
        bus_limit=0x7FFFF,
        bus_step=1,
    )


INA219 = Chip(
    name="ina219",
    model=0x19,
    power_on=0x399F,
    wide=False,
    bus_lsb_v=4e-3,
    bus_register=lambda lsbs: lsbs << 3 | 0b10,  # conversion ready
    read_back=lambda value: value,
    conversion=_ina219_conversion,
)
INA226 = Chip(
    name="ina226",
    model=0x26,
    power_on=0x4127,
    wide=False,
    bus_lsb_v=1.25e-3,
    bus_register=lambda lsbs: lsbs,
    read_back=lambda value: value & 0x0FFF | 0x4000,
    conversion=_ina226_conversion,
)
INA228 = Chip(
    name="ina228",
    model=0x28,
    power_on=0xFB68,
    wide=True,
    bus_lsb_v=195.3125e-6,
    bus_register=lambda lsbs: lsbs,
    read_back=lambda value: value,
    conversion=_ina228_conversion,
)
CHIPS = {chip.name: chip for chip in (INA219, INA226, INA228)}


@dataclass(frozen=True, slots=True)
class Wiring:
    """The shunt in the board's supply line, and how far this sensor is off."""

    supply_voltage_v: float
    shunt_ohm: float
    gain_error: float
    """of the current, relative"""
    offset_v: float
    """of the shunt voltage"""
    bus_gain_error: float
    """of the bus voltage, relative"""
    conversion_error: float
    """of the conversion times, relative"""
    noise_steps: float
    """rms of the converter's noise, in its effective steps"""


class Sensor:
    """One sensor: converts shunt, then bus, then shunt again from the moment its configuration register is written."""

    def __init__(
        self, chip: Chip, address: int, wiring: Wiring, supply: SupplyReader, power_on_ns: int, seed: int
    ) -> None:
        self.chip = chip
        self.address = address
        self.wiring = wiring
        self._supply = supply
        self._noise = np.random.default_rng((seed, address))
        self.configure(chip.power_on, chip.power_on, 0, power_on_ns)

    def configure(self, value: int, bus_value: int, range_value: int, time_ns: int) -> int:
        """Write the configuration register; returns what it then reads as. With `bus_value` it reads the bus voltage.

        What the shunt converter misses while the other value is written is left out.
        """
        reset = value & _RESET and not self.chip.wide
        self.configuration = self.chip.power_on if reset else self.chip.read_back(value)
        self._conversion = self.chip.conversion(self.configuration, range_value)
        self._bus_step = self.chip.conversion(bus_value, range_value).bus_step
        self._begun_ns = time_ns
        stretch = 1.0 + self.wiring.conversion_error
        self._shunt_ns = self._conversion.shunt_ns * stretch
        self.period_ns = (self._conversion.shunt_ns + self._conversion.bus_ns) * stretch
        return self.configuration

    def conversions_by(self, time_ns: int) -> int:
        """How many shunt conversions have ended since the configuration was written."""
        if not self._conversion.shunt_ns:
            return 0
        return max(0, int((time_ns - self._begun_ns - self._shunt_ns) // self.period_ns) + 1)

    def convert(self, conversions: NDArray[np.int64]) -> list[tuple[int, int, bool]]:
        """For each of these shunt conversions, counted from 0: its end in ns, the register, whether it overflowed."""
        since_begun_ns = np.rint(conversions * self.period_ns)
        starts_ns = since_begun_ns.astype(np.int64) + self._begun_ns
        ends_ns = starts_ns + round(self._shunt_ns)
        step = self._conversion.shunt_step
        steps_per_v = 1.0 / (self._conversion.shunt_lsb_v * step)
        v_per_w = self.wiring.shunt_ohm * (1.0 + self.wiring.gain_error) / self.wiring.supply_voltage_v
        steps = self._supply.mean_power_w(starts_ns, ends_ns) * (v_per_w * steps_per_v)
        steps += self.wiring.offset_v * steps_per_v
        steps += self._noise.standard_normal(len(steps)) * self.wiring.noise_steps
        limit = self._conversion.shunt_limit
        counts = (np.rint(steps) * step).tolist()
        return [
            (end_ns, max(-limit, min(limit, int(count))), abs(count) > limit)
            for end_ns, count in zip(ends_ns.tolist(), counts, strict=True)
        ]

    def bus_register(self) -> int:
        """The bus register: the supply's voltage, which the supply regulates."""
        step = self._bus_step
        voltage_v = self.wiring.supply_voltage_v * (1.0 + self.wiring.bus_gain_error)
        counts = round(voltage_v / (self.chip.bus_lsb_v * step)) * step
        return self.chip.bus_register(min(counts, self._conversion.bus_limit))
