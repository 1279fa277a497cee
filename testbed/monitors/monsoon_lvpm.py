"""`kind: monsoon-lvpm`: a Monsoon Low Voltage Power Monitor with its stock serial firmware."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from power import MonsoonInput, MonsoonLvpm, monsoon_lvpm
from power.probes import probe_lvpm
from testbed.config.plugins import Attached, BoardSettings, MonitorSettings, Program
from testbed.config.quantities import Amperes, Seconds, Volts
from testbed.monitors.monsoon_input import OtherInput

MAIN_V = (2.01, 4.55)
"""what the Main output can be set to: LVPM manual 1.15"""
MOST_A = 8.0
"""end of the current limits' scale"""
LAG_S = 0.010
"""how far behind its host an emulator lives; part of its delivery latency"""


class MonsoonLvpmMonitor(MonitorSettings):
    """Main feeds the board itself; Aux and USB sense the current of a supply whose voltage is declared."""

    kind: Literal["monsoon-lvpm"]
    port: str = Field(min_length=1)
    """a serial port, "auto" to look for it, or "emulated" for an emulator at the far end of a pseudo-terminal"""
    serial_number: int | None = None
    """only the monitor of this serial number will do"""
    channel: Literal["main", "usb", "aux"]
    supply_voltage_v: Volts = Field(gt=0)
    """what Main is set to, or what the supply behind Aux or USB is regulated to"""
    supply_voltage_tolerance: float = Field(default=0.01, gt=0, le=0.1)
    """limit of that supply's error, relative, taken as rectangular; Main's voltage is measured"""
    also: tuple[OtherInput, ...] = ()
    """channels read beside it"""
    power_up_limit_a: Amperes = Field(default=MOST_A, ge=0, le=MOST_A)
    run_time_limit_a: Amperes = Field(default=MOST_A, ge=0, le=MOST_A)
    """what Main may give when it is switched on, and afterwards"""
    delivery_latency_s: Seconds = Field(default=0.5e-3, ge=0)
    """least time from a sample's end to its arrival at the controller"""
    delivery_latency_standard_uncertainty_s: Seconds = Field(default=0.3e-3, gt=0)
    faults: list[str] = Field(default_factory=list)
    """what goes wrong with an emulated one, such as `unplug@+20:3`: docs/explanation/virtual-meters.md"""

    @model_validator(mode="after")
    def _emulators_are_late(self) -> MonsoonLvpmMonitor:
        if self.emulated and self.delivery_latency_s < LAG_S:
            raise ValueError(f"an emulated monitor delivers {LAG_S * 1e3:g} ms late: set delivery_latency_s above that")
        if self.faults and not self.emulated:
            raise ValueError("faults: only an emulated monitor fails on command")
        return self

    @model_validator(mode="after")
    def _each_channel_once(self) -> MonsoonLvpmMonitor:
        if len({self.channel, *(one.channel for one in self.also)}) <= len(self.also):
            raise ValueError("also: names a channel that is read already; each can be read once")
        return self

    @property
    def emulated(self) -> bool:
        return self.port == "emulated"

    @classmethod
    def answers_at(cls, port: str) -> Attached | None:
        status = probe_lvpm(port)
        if status is None:
            return None
        return Attached(
            port,
            f"Monsoon LVPM {status.serial_number}, firmware {status.firmware_version}, "
            f"main set to {status.output_setting_v:.2f} V",
            {"kind": "monsoon-lvpm", "port": port, "channel": "aux", "supply_voltage_v": "5.1 V"},
            {
                "channel": "the output in the board's supply line: main, usb or aux",
                "supply_voltage_v": "what the board is fed with",
            },
        )

    def build(self, board: BoardSettings, far_end: Mapping[str, Any] | None) -> MonsoonLvpm:
        main = MonsoonInput(self.channel, self.supply_voltage_v, self.supply_voltage_tolerance / 3**0.5)
        return MonsoonLvpm(
            far_end["port"] if far_end else self.port,
            [main, *(one.as_input() for one in self.also)],
            serial_number=self.serial_number,
            power_up_limit_a=self.power_up_limit_a,
            run_time_limit_a=self.run_time_limit_a,
            latency_s=self.delivery_latency_s,
            latency_standard_uncertainty_s=self.delivery_latency_standard_uncertainty_s,
        )

    def far_end(self, supply: Path, supply_voltage_v: float, seed: int) -> Program | None:
        """A meter, a supply and a wire somewhere within their stated limits."""
        if not self.emulated:
            return None
        rng = random.Random(f"{seed} monsoon-lvpm")
        wire_s = self.delivery_latency_s - LAG_S + rng.uniform(-1, 1) * self.delivery_latency_standard_uncertainty_s
        arguments = {
            "supply": supply,
            "output": self.channel,
            "output-voltage": supply_voltage_v * (1 + rng.uniform(-1, 1) * self.supply_voltage_tolerance),
            "gain-error": rng.uniform(-1, 1) * monsoon_lvpm.GAIN_LIMIT,
            "offset-a": rng.uniform(-1, 1) * monsoon_lvpm.OFFSET_LIMIT_A,
            "drift-ppm": rng.uniform(-50, 50),
            "lag-ms": LAG_S * 1e3,
            "latency-ms": max(0.0, wire_s) * 1e3,
            "serial-number": seed % 2**16,
            "seed": seed,
            "link": supply.with_name("meter"),
        }
        words = [*(f"--{key}={value}" for key, value in arguments.items()), *(f"--fault={f}" for f in self.faults)]
        return Program("testbed.virtual.meters.monsoon", tuple(words))

    def wiring_problems(self, board: BoardSettings) -> list[str]:
        problems = []
        low_v, high_v = MAIN_V
        fed_v = board.supply_voltage_v
        asked_v = [(self.channel, self.supply_voltage_v), *((one.channel, one.supply_voltage_v) for one in self.also)]
        problems += [
            f"monitor.supply_voltage_v: the LVPM's Main output gives {low_v:g}-{high_v:g} V, not {voltage_v:g} V"
            for channel, voltage_v in asked_v
            if channel == "main" and not low_v <= voltage_v <= high_v
        ]
        if self.channel == "main" and not low_v <= fed_v <= high_v:
            problems.append(
                f"monitor.channel: the LVPM's Main output gives {low_v:g}-{high_v:g} V and cannot feed a board of "
                f"{fed_v:g} V; sense its supply with Aux, with an INA226 in line, or feed it from an HVPM"
            )
        if abs(fed_v - self.supply_voltage_v) > 0.1 * fed_v:
            problems.append(
                f"monitor.supply_voltage_v: {self.supply_voltage_v:g} V, but the board is fed with {fed_v:g} V; "
                "the meter must stand in the board's own supply line"
            )
        most_a = board.draw.power_w / fed_v if board.draw is not None else 0.0
        if most_a > MOST_A:
            problems.append(f"monitor: the board draws up to {most_a:.2g} A, the LVPM's scale ends at {MOST_A:g} A")
        return problems
