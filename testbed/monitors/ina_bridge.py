"""`kind: ina-bridge`: an INA219 or INA226 in the supply line, read by a microcontroller on a serial port."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from power import InaBridge, ina_sensor
from power.probes import probe_bridge
from testbed.config.plugins import Attached, BoardSettings, MonitorSettings, Program
from testbed.config.quantities import Ohms, Seconds, Volts

PIN_LIMIT_V = {"ina219": 26.0, "ina226": 36.0}
"""highest bus voltage: datasheets SBOS448, SBOS547"""


class InaBridgeMonitor(MonitorSettings):
    """The shunt stands in the board's supply line."""

    kind: Literal["ina-bridge"]
    port: str = Field(min_length=1)
    """a serial port, or "emulated" for an emulator at the far end of a pseudo-terminal"""
    sensor: Literal["ina219", "ina226"]
    address: int = Field(default=0x40, ge=0x40, le=0x4F)
    shunt_ohm: Ohms = Field(gt=0)
    shunt_tolerance: float = Field(default=0.01, gt=0, le=0.1)
    """limit of the resistor's error, relative; taken as rectangular"""
    range_v: Volts | None = None
    """full scale of the shunt voltage; absent: the chip's widest"""
    conversion_s: Seconds | None = None
    """one conversion; absent: the chip's fastest"""
    averages: int = 1
    bus_divisor: int = Field(default=16, ge=1, le=255)
    """the bus voltage is read with every so-many-th sample: it moves slowly, and reading it takes time"""
    supply_voltage_v: Volts = Field(gt=0)
    """nominal voltage at the sensor"""

    @model_validator(mode="after")
    def _settings_exist(self) -> InaBridgeMonitor:
        self._at(self.port)  # the driver knows what the chip has, and says so
        return self

    @property
    def emulated(self) -> bool:
        return self.port == "emulated"

    @classmethod
    def answers_at(cls, port: str) -> Attached | None:
        identity = probe_bridge(port)
        if identity is None:
            return None
        addresses = identity.addresses
        heard = ", ".join(f"{address:#04x}" for address in addresses) or "none"
        return Attached(
            port,
            f"INA bridge {identity.serial}, firmware {identity.firmware_version}, sensors at {heard}",
            {
                "kind": "ina-bridge",
                "port": port,
                "sensor": "ina226",
                "address": addresses[0] if addresses else 0x40,
                "shunt_ohm": "15 mOhm",
                "supply_voltage_v": "5.1 V",
            },
            {
                "sensor": "ina219 or ina226: read it off the chip",
                "shunt_ohm": "as printed on the resistor (R100 is 100 mOhm)",
                "supply_voltage_v": "what the board is fed with",
            },
            "" if addresses else "no sensor answers on its I2C bus; check the sensor's supply and wiring",
        )

    def build(self, board: BoardSettings, far_end: Mapping[str, Any] | None) -> InaBridge:
        return self._at(far_end["port"] if far_end else self.port)

    def _at(self, port: str) -> InaBridge:
        return InaBridge(
            port,
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

    def far_end(self, supply: Path, supply_voltage_v: float, seed: int) -> Program | None:
        """A meter somewhere within its datasheet's limits."""
        if not self.emulated:
            return None
        model, rng = ina_sensor.MODELS[self.sensor], random.Random(f"{seed} ina-bridge")
        gain = rng.uniform(-1, 1) * model.gain_limit + rng.uniform(-1, 1) * self.shunt_tolerance
        arguments = {
            "supply": supply,
            "supply-voltage": supply_voltage_v,
            "sensor": f"{self.sensor}@{self.address:#x}",
            "shunt-ohm": self.shunt_ohm,
            "gain-error": gain,
            "offset-v": rng.uniform(-1, 1) * model.shunt_offset_limit_v,
            "bus-gain-error": rng.uniform(-1, 1) * model.gain_limit,
            "drift-ppm": rng.uniform(-50, 50),
            "clock-offset-s": rng.uniform(0, 1000),
            "serial": f"V{seed % 10**7}",
            "seed": seed,
        }
        return Program("testbed.virtual.meters.bridge", tuple(f"--{key}={value}" for key, value in arguments.items()))

    def wiring_problems(self, board: BoardSettings) -> list[str]:
        problems = []
        limit_v = PIN_LIMIT_V[self.sensor]
        if board.supply_voltage_v > limit_v:
            problems.append(
                f"monitor: the {self.sensor} bears {limit_v:g} V at its pins, the board's supply has "
                f"{board.supply_voltage_v:g} V; choose another sensor"
            )
        if abs(board.supply_voltage_v - self.supply_voltage_v) > 0.1 * board.supply_voltage_v:
            problems.append(
                f"monitor.supply_voltage_v: {self.supply_voltage_v:g} V at the sensor, but the board is fed with "
                f"{board.supply_voltage_v:g} V; the shunt must stand in the board's own supply line"
            )
        range_v = self.range_v or max(ina_sensor.MODELS[self.sensor].ranges_v)
        if board.draw is not None:
            most_a = board.draw.power_w / board.supply_voltage_v
            if most_a * self.shunt_ohm > range_v:
                problems.append(
                    f"monitor.shunt_ohm: the board draws up to {most_a:.2g} A, a {self.shunt_ohm * 1e3:g} mOhm shunt "
                    f"on the {range_v * 1e3:g} mV range ends at {range_v / self.shunt_ohm:.2g} A; take at most "
                    f"{range_v / most_a * 1e3:.2g} mOhm"
                )
            low_v = board.draw.voltage_v[0]
            left_v = board.supply_voltage_v - most_a * self.shunt_ohm
            if board.supply_voltage_v >= low_v > left_v:
                problems.append(
                    f"monitor.shunt_ohm: at {most_a:.2g} A a {self.shunt_ohm * 1e3:g} mOhm shunt leaves the board "
                    f"{left_v:.3g} V, below the {low_v:g} V it needs; take at most "
                    f"{(board.supply_voltage_v - low_v) / most_a * 1e3:.2g} mOhm"
                )
        return problems
