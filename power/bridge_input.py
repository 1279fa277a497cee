"""One sensor behind the INA bridge: how it is wired, how it is asked to convert, what its raw readings mean."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from power.bridge_protocol import TICKS_PER_SECOND, Configuration, SampleFrame
from power.ina_sensor import MODELS, Sensor
from power.monitor import Channel
from power.samples import IntArray, Samples

SHUNT_TOLERANCE = 0.01
"""of a common shunt resistor"""
SLOWEST = 1.1
"""how much longer than nominal a conversion may take: the sensors' datasheets"""
FLAGGED_FROM_S = 0.8e-3
"""a round of conversions as long is awaited by the ready flag; with shorter ones looking costs more than it gains"""
MOST_INTERVAL = 0xFFFF


@dataclass(frozen=True, slots=True)
class BridgeInput:
    """A sensor and its shunt. `ValueError` for settings the chip does not have.

    `shunt_standard_uncertainty` is relative. `supply_v` is the nominal voltage at the sensor: it only turns the
    current's offset and step into watts. `range_v`, `conversion_s` and `averages` must be values of the chip; by
    default its widest range and its fastest conversion. The bus voltage comes with every `bus_divisor`-th sample: up
    to 5 the chip converts it in turn with the shunt, from 6 on the shunt alone but for one conversion now and then.
    """

    shunt_ohm: float
    supply_v: float
    sensor: str = "ina219"
    address: int = 0x40
    name: str = "supply"
    shunt_standard_uncertainty: float = SHUNT_TOLERANCE / math.sqrt(3.0)
    range_v: float | None = None
    conversion_s: float | None = None
    averages: int = 1
    bus_divisor: int = 1

    def __post_init__(self) -> None:
        if self.sensor not in MODELS:
            raise ValueError(f"sensor: no {self.sensor!r}; choose one of {', '.join(MODELS)}")
        if not 0x40 <= self.address <= 0x4F:
            raise ValueError(f"address: a sensor is at 0x40 to 0x4F, not {self.address:#04x}")
        if not 1 <= self.bus_divisor <= 255:
            raise ValueError(f"bus_divisor: 1 to 255, not {self.bus_divisor}")
        _ = self.chip

    @property
    def chip(self) -> Sensor:
        """The chip as it is set up."""
        model = MODELS[self.sensor]
        return Sensor(
            model=model,
            shunt_ohm=self.shunt_ohm,
            range_v=max(model.ranges_v) if self.range_v is None else self.range_v,
            conversion_s=min(model.conversions_s) if self.conversion_s is None else self.conversion_s,
            averages=self.averages,
            bus_divisor=self.bus_divisor,
        )

    @property
    def configuration(self) -> Configuration:
        """What the bridge is told."""
        chip = self.chip
        return Configuration(
            address=self.address,
            model=chip.model.code,
            register=chip.register,
            bus_register=chip.bus_register,
            range_register=chip.range_register,
            bus_divisor=self.bus_divisor,
            interval=min(MOST_INTERVAL, math.ceil(SLOWEST * chip.period_s * TICKS_PER_SECOND)),
            flagged=int(chip.period_s >= FLAGGED_FROM_S),
        )

    @property
    def channel(self) -> Channel:
        """How well it measures."""
        channel = self.chip.channel(self.supply_v, self.shunt_standard_uncertainty)
        return replace(channel, name=self.name)

    def samples(self, block: SampleFrame, number: int, index: int, ticks: IntArray) -> Samples:
        """A frame's readings as channel `number`; `ticks` for times."""
        chip, count = self.chip, len(block.shunt)
        current_a = block.shunt.astype(np.float64) * (chip.shunt_lsb_v / chip.shunt_ohm)
        voltage_v = (block.bus >> chip.model.bus_shift).astype(np.float64) * chip.model.bus_lsb_v
        return Samples(
            index=np.arange(index, index + count, dtype=np.int64),
            time_ns=ticks,
            channel=np.full(count, number, np.uint8),
            power_w=voltage_v * current_a,
            voltage_v=voltage_v,
            current_a=current_a,
            mark=block.mark,
        )
