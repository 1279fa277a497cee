"""Stands in for smbus2 where a test's sampler runs: behind bus 1 sits a register model of an INA219, INA226 or INA228.

The environment tells which: BOARD_SENSOR (chip@address), BOARD_SHUNT_OHM, BOARD_SUPPLY (a waveform's file),
BOARD_BEGUN_NS (the moment of CLOCK_MONOTONIC at which that waveform begins). Written from the datasheets (SBOS448,
SBOS547, SBOSA20) alone: shunt and bus voltage are converted in turn from the moment the configuration is written.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from testbed.virtual.supply import SupplyReader

SUPPLY_V = 5.0
SLOW = 1.02  # this specimen's conversions
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)


class Chip:
    def __init__(self, name: str) -> None:
        self.name = name
        self.wide = name == "ina228"
        self.registers = {"ina219": {0: 0x399F}, "ina226": {0: 0x4127}, "ina228": {0: 0, 1: 0xFB68}}[name]
        self.configuration = 1 if self.wide else 0
        self.shunt, self.bus = (4, 5) if self.wide else (1, 2)
        self.begun_ns = 0

    def conversion_ns(self) -> float:
        """Of a shunt voltage, averaging included; the bus voltage's is as long."""
        value = self.registers[self.configuration]
        if self.name == "ina219":
            adc = value >> 3 & 15
            return SLOW * (532e3 * (1 << (adc & 7)) if adc & 8 else (84e3, 148e3, 276e3, 532e3)[adc & 3])
        if self.name == "ina226":
            times_us = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
            return SLOW * 1e3 * times_us[value >> 3 & 7] * AVERAGES[value >> 9 & 7]
        times_us = (50, 84, 150, 280, 540, 1052, 2074, 4120)
        return SLOW * 1e3 * times_us[value >> 6 & 7] * AVERAGES[value & 7]

    def shunt_register(self, voltage_v: float) -> int:
        if self.name == "ina219":
            code = self.registers[0] >> 11 & 3
            counts = round(voltage_v / (10e-6 * (1 << code))) * (1 << code)
            return max(-4000 << code, min(4000 << code, counts)) & 0xFFFF
        if self.name == "ina226":
            return max(-32768, min(32767, round(voltage_v / 2.5e-6))) & 0xFFFF
        lsb_v = 78.125e-9 if self.registers[0] & 0x10 else 312.5e-9
        return (max(-0x80000, min(0x7FFFF, round(voltage_v / lsb_v))) & 0xFFFFF) << 4

    def bus_register(self) -> int:
        if self.name == "ina219":
            return round(SUPPLY_V / 4e-3) << 3 | 0b10  # conversion ready
        return round(SUPPLY_V / 1.25e-3) if self.name == "ina226" else round(SUPPLY_V / 195.3125e-6) << 4


class SMBus:
    def __init__(self, bus: int) -> None:
        if bus != 1:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", f"/dev/i2c-{bus}")
        name, _, address = os.environ["BOARD_SENSOR"].partition("@")
        self._chip, self._address = Chip(name), int(address, 0)
        self._supply = SupplyReader(Path(os.environ["BOARD_SUPPLY"]))
        self._shunt_ohm = float(os.environ["BOARD_SHUNT_OHM"])

    def _at(self, address: int) -> Chip:
        if address != self._address:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        return self._chip

    def write_i2c_block_data(self, address: int, register: int, data: list[int]) -> None:
        chip = self._at(address)
        value = int.from_bytes(bytes(data), "big")
        chip.registers[register] = value & 0x0FFF | 0x4000 if chip.name == "ina226" else value
        chip.begun_ns = time.monotonic_ns()

    def read_i2c_block_data(self, address: int, register: int, length: int) -> list[int]:
        chip = self._at(address)
        if register in chip.registers:
            value, size = chip.registers[register], 2
        else:
            value = self._shunt() if register == chip.shunt else chip.bus_register()
            size = 3 if chip.wide else 2
        assert length == size, f"register {register:#04x} has {size} bytes"
        return list(value.to_bytes(size, "big"))

    def _shunt(self) -> int:
        """The last shunt conversion that has ended."""
        chip, conversion_ns = self._chip, self._chip.conversion_ns()
        pairs = (time.monotonic_ns() - chip.begun_ns - conversion_ns) // (2 * conversion_ns)
        if pairs < 0:
            return 0
        start_ns = round(chip.begun_ns + pairs * 2 * conversion_ns) - int(os.environ["BOARD_BEGUN_NS"])
        (power_w,) = self._supply.mean_power_w([start_ns], [start_ns + round(conversion_ns)]).tolist()
        return chip.shunt_register(power_w / SUPPLY_V * self._shunt_ohm)
