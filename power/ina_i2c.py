"""An INA219, INA226 or INA228 in the board's supply line, on the board's own I2C bus."""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from power.errors import SensorFault
from power.ina_sensor import INA219, MODELS, Sensor
from power.monitor import Kind
from power.on_board import Layout, Manner, Readings
from power.sampler_process import SamplerProcess, Source
from power.samples import FloatArray

log = logging.getLogger(__name__)

BOARDS_PACE_S = 1.1e-3
"""a board reads some hundreds of times a second: a shorter conversion leaves more unseen, a longer one slows it"""
CURES = {
    errno.EACCES: "add yourself to the group i2c and log in again",
    errno.ENOENT: "enable the I2C bus (Raspberry Pi: `sudo raspi-config`), and see `i2cdetect -l` for its number",
    errno.ENXIO: "nothing answers at this address: check wiring and supply, and see `i2cdetect -y BUS`",
    errno.EREMOTEIO: "nothing answers at this address: check wiring and supply, and see `i2cdetect -y BUS`",
    errno.EBUSY: "a kernel driver holds this device: read it with `kind: rails`, or unbind it",
}


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """Where a chip keeps what: datasheets SBOS448, SBOS547, SBOSA20."""

    configuration: int
    shunt: int
    bus: int
    value_bytes: int = 2
    unused_bits: int = 0
    """of the values, at their low end"""
    value_bits: int = 16
    range: int | None = None
    """the register of the range, where the configuration does not hold it"""


MAPS = {
    "ina219": RegisterMap(0x00, 0x01, 0x02),
    "ina226": RegisterMap(0x00, 0x01, 0x02),
    "ina228": RegisterMap(0x01, 0x04, 0x05, value_bytes=3, unused_bits=4, value_bits=20, range=0x00),
}


class InaI2c:
    """A `BoardSensor` with one channel. `ValueError` for settings the chip does not have; they are `InaBridge`'s.

    Read over `/dev/i2c-<bus>`, the bus voltage in every `bus_divisor`-th sweep. By default the longest conversion up to
    1.1 ms.
    """

    def __init__(
        self,
        bus: int,
        *,
        shunt_ohm: float,
        supply_v: float,
        sensor: str = "ina226",
        address: int = 0x40,
        shunt_standard_uncertainty: float = 0.01 / math.sqrt(3.0),
        range_v: float | None = None,
        conversion_s: float | None = None,
        averages: int = 1,
        bus_divisor: int = 16,
    ) -> None:
        if sensor not in MODELS:
            raise ValueError(f"sensor: no {sensor!r}; choose one of {', '.join(MODELS)}")
        model = MODELS[sensor]
        self.sensor = Sensor(
            model=model,
            shunt_ohm=shunt_ohm,
            range_v=max(model.ranges_v) if range_v is None else range_v,
            conversion_s=max(s for s in model.conversions_s if s <= BOARDS_PACE_S)
            if conversion_s is None
            else conversion_s,
            averages=averages,
        )
        self._bus, self._address, self._bus_divisor = bus, address, bus_divisor
        self._map = MAPS[sensor]
        self._channel = self.sensor.channel(supply_v, shunt_standard_uncertainty)

    @property
    def name(self) -> str:
        return f"ina-i2c ({self.sensor.model.name} at {self._address:#04x} of i2c-{self._bus})"

    @property
    def manner(self) -> Manner:
        return Manner(Kind.AVERAGING, self.sensor.aperture_s, self.sensor.period_s, CURES)

    def survey(self, board: SamplerProcess) -> Layout:
        """Set the chip up and read it back."""
        at = self._map
        if at.range is not None:
            self._set(board, at.range, self.sensor.range_register)
        self._set(board, at.configuration, self.sensor.register)
        shunt, bus = self._register(at.shunt, at.value_bytes), self._register(at.bus, at.value_bytes)
        return Layout(
            sources=((shunt, 1), (bus, self._bus_divisor)),
            channels=(self._channel,),
            total=(0,),
            decoder=Registers(self.sensor, self.name),
        )

    def _set(self, board: SamplerProcess, register: int, value: int) -> None:
        source = self._register(register, 2)
        board.write(source, value.to_bytes(2, "big"))
        (read_back,) = board.read(source)
        if read_back != value:
            raise SensorFault(
                f"{self.name}: the sensor reads back {read_back:#06x}, not the {value:#06x} written; "
                f"is it really an {self.sensor.model.name}?"
            )

    def _register(self, register: int, length: int) -> Source:
        return ("register", self._bus, self._address, register, length)


class Registers:
    """The `Decoder` of shunt and bus voltage registers."""

    def __init__(self, sensor: Sensor, name: str) -> None:
        self._sensor, self._name = sensor, name
        self._within = True
        self._map = MAPS[sensor.model.name]
        full = round(sensor.range_v / sensor.model.shunt_lsb_v)
        self._limit = full if sensor.model is INA219 else (1 << self._map.value_bits - 1) - 1
        """where the shunt register saturates"""

    def decode(self, rows: Sequence[Sequence[Any]]) -> Readings:
        """Shunt and bus register of each row; a saturated shunt is no reading."""
        model = self._sensor.model
        shunt, bus = np.array(rows, np.int64).T >> self._map.unused_bits
        sign = 1 << self._map.value_bits - 1
        counts = ((shunt ^ sign) - sign).astype(np.float64)
        sound = np.abs(counts) < self._limit
        if self._within and not sound.all():
            log.warning("%s: the sensor's range overflowed; such samples count as lost", self._name)
        self._within = bool(sound[-1])
        current_a = counts * (self._sensor.shunt_lsb_v / self._sensor.shunt_ohm)
        voltage_v = (bus >> model.bus_shift).astype(np.float64) * model.bus_lsb_v
        return Readings(_column(current_a * voltage_v), sound, _column(voltage_v), _column(current_a))


def _column(values: FloatArray) -> FloatArray:
    return values[:, np.newaxis]
