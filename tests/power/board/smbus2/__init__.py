"""Stands in for smbus2 where a test's sampler runs: behind bus 1 sits a register model of an INA219 or INA226.

The environment tells which: BOARD_SENSOR (chip@address), BOARD_SHUNT_OHM, BOARD_SUPPLY (a waveform's file),
BOARD_BEGUN_NS (the moment of CLOCK_MONOTONIC at which that waveform begins).
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from testbed.virtual.meters.ina import CHIPS, Sensor, Wiring
from testbed.virtual.supply import SupplyReader

SUPPLY_V = 5.0


class SMBus:
    def __init__(self, bus: int) -> None:
        if bus != 1:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", f"/dev/i2c-{bus}")
        self._begun_ns = int(os.environ["BOARD_BEGUN_NS"])
        chip, _, address = os.environ["BOARD_SENSOR"].partition("@")
        wiring = Wiring(SUPPLY_V, float(os.environ["BOARD_SHUNT_OHM"]), 0.0, 0.0, 0.0, 0.02, 0.3)
        supply = SupplyReader(Path(os.environ["BOARD_SUPPLY"]))
        self._sensor = Sensor(CHIPS[chip], int(address, 0), wiring, supply, self._now_ns(), seed=1)

    def _now_ns(self) -> int:
        return time.monotonic_ns() - self._begun_ns

    def _at(self, address: int) -> Sensor:
        if address != self._sensor.address:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        return self._sensor

    def write_i2c_block_data(self, address: int, register: int, data: list[int]) -> None:
        sensor = self._at(address)
        assert register == 0, "only the configuration is written"
        sensor.configure(data[0] << 8 | data[1], self._now_ns())

    def read_i2c_block_data(self, address: int, register: int, length: int) -> list[int]:
        sensor = self._at(address)
        assert length == 2
        if register == 0:
            value = sensor.configuration
        elif register == 1:
            last = sensor.conversions_by(self._now_ns()) - 1
            value = sensor.convert(range(last, last + 1))[0][1] if last >= 0 else 0
        else:
            value = sensor.bus_register()
        return list((value & 0xFFFF).to_bytes(2, "big"))
