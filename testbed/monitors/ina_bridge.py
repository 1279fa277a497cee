"""`kind: ina-bridge`: an INA219, INA226 or INA228 in the supply line, read by a microcontroller on a serial port."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from power import BridgeInput, InaBridge, ina_sensor
from power.probes import probe_bridge
from testbed.config.plugins import Attached, BoardSettings, MonitorSettings, Program
from testbed.config.quantities import Ohms, Seconds, Volts
from testbed.monitors.shunt import shunt_problems

EMULATED, FIRMWARE = "emulated", "emulated-firmware"


class InaBridgeMonitor(MonitorSettings):
    """The shunt stands in the board's supply line."""

    kind: Literal["ina-bridge"]
    port: str = Field(min_length=1)
    """a serial port; "emulated" for an emulator at the far end of a pseudo-terminal; "emulated-firmware" for one that
    runs the bridge's real firmware"""
    baud: Literal[500_000, 1_000_000] = 1_000_000
    """what the firmware was built for"""
    sensor: Literal["ina219", "ina226", "ina228"]
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
    faults: list[str] = Field(default_factory=list)
    """what goes wrong with an emulated one, such as `unplug@+20:3`: docs/explanation/virtual-meters.md"""

    @model_validator(mode="after")
    def _settings_exist(self) -> InaBridgeMonitor:
        self._at(self.port)  # the driver knows what the chip has, and says so
        if self.faults and self.port != "emulated":
            raise ValueError("faults: only an emulated monitor (port: emulated) fails on command")
        return self

    @property
    def emulated(self) -> bool:
        return self.port in (EMULATED, FIRMWARE)

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
                "sensor": "ina219, ina226 or ina228: read it off the chip",
                "shunt_ohm": "as printed on the resistor (R100 is 100 mOhm)",
                "supply_voltage_v": "what the board is fed with",
            },
            "" if addresses else "no sensor answers on its I2C bus; check the sensor's supply and wiring",
        )

    @property
    def marker_input(self) -> bool:
        return self.port != FIRMWARE  # the emulator that runs it has its own hand on that pin

    def build(self, board: BoardSettings, far_end: Mapping[str, Any] | None) -> InaBridge:
        return self._at(far_end["port"] if far_end else self.port)

    def _at(self, port: str) -> InaBridge:
        return InaBridge(
            port,
            BridgeInput(
                shunt_ohm=self.shunt_ohm,
                supply_v=self.supply_voltage_v,
                sensor=self.sensor,
                address=self.address,
                shunt_standard_uncertainty=self.shunt_tolerance / 3**0.5,
                range_v=self.range_v,
                conversion_s=self.conversion_s,
                averages=self.averages,
                bus_divisor=self.bus_divisor,
            ),
            baud=self.baud,
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
            "seed": seed,
        }
        if self.port == FIRMWARE:
            return Program("testbed.virtual.meters.bridge_firmware", _given(arguments))
        arguments |= {"clock-offset-s": rng.uniform(0, 1000), "serial": f"V{seed % 10**7}"}
        arguments |= {"link": supply.with_name("meter")}
        faults = tuple(f"--fault={fault}" for fault in self.faults)
        return Program("testbed.virtual.meters.bridge", _given(arguments) + faults)

    def wiring_problems(self, board: BoardSettings) -> list[str]:
        range_v = self.range_v or max(ina_sensor.MODELS[self.sensor].ranges_v)
        return shunt_problems(board, self.sensor, self.supply_voltage_v, self.shunt_ohm, range_v)


def _given(arguments: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"--{key}={value}" for key, value in arguments.items())
