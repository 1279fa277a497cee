"""`kind: monsoon-hvpm`: a Monsoon High Voltage Power Monitor on USB, or an LVPM with revision E firmware."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from power import MonsoonHvpm, MonsoonInput
from power.monsoon_usb_device import UDEV_RULE
from power.monsoon_usb_model import MODELS
from power.monsoon_usb_protocol import PRODUCT, VENDOR
from testbed.config.plugins import Attached, BoardSettings, MonitorSettings, Program
from testbed.config.quantities import Amperes, Seconds, Volts
from testbed.monitors.monsoon_input import OtherInput

CONTINUOUS_A = 6.0
"""what the HVPM's main bears for long: a common reading of its data sheet, unconfirmed"""


USB_ID = (f"{VENDOR:04x}", f"{PRODUCT:04x}")


def _read(path: Path) -> str:
    """An attribute of sysfs; empty where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _trouble(device: Path, root: Path) -> str:
    if find_spec("usb") is None:
        return "reading it needs pyusb: pip install 'edge-energy-testbed[hvpm]'"
    bus, number = _read(device / "busnum"), _read(device / "devnum")
    node = root / "dev/bus/usb" / bus.zfill(3) / number.zfill(3)
    if not os.access(node, os.R_OK | os.W_OK):
        return f"no permission for {node}: sudo cp {UDEV_RULE} /etc/udev/rules.d/, then plug it in again"
    return ""


class MonsoonHvpmMonitor(MonitorSettings):
    """Main feeds the board itself; Aux and USB sense the current of a supply beside it."""

    kind: Literal["monsoon-hvpm"]
    model: Literal["hvpm", "lvpm-rev-e"] = "hvpm"
    serial_number: int | None = None
    """only the monitor of this serial number will do; absent: the first on the bus"""
    channel: Literal["main", "usb", "aux"] = "main"
    supply_voltage_v: Volts = Field(gt=0)
    """what Main is set to, or what the supply behind Aux or USB is regulated to"""
    supply_voltage_tolerance: float = Field(default=0.01, gt=0, le=0.1)
    """limit of the error of the supply behind Aux, relative, taken as rectangular; Main and USB are measured"""
    also: tuple[OtherInput, ...] = ()
    """channels read beside it"""
    power_up_limit_a: Amperes | None = None
    run_time_limit_a: Amperes | None = None
    """what Main may give when it is switched on, and afterwards; absent: the most the scale has"""
    delivery_latency_s: Seconds = Field(default=0.3e-3, ge=0)
    """least time from a sample's end to its arrival at the controller"""
    delivery_latency_standard_uncertainty_s: Seconds = Field(default=0.2e-3, gt=0)

    @model_validator(mode="after")
    def _settings_exist(self) -> MonsoonHvpmMonitor:
        self._driver()  # which knows what the device has, and says so
        return self

    @property
    def emulated(self) -> bool:
        return False

    @classmethod
    def attached(cls, root: Path) -> Iterator[Attached]:
        """Monsoons that the kernel has found on USB; they are not spoken to."""
        for device in sorted((root / "sys/bus/usb/devices").glob("*")):
            if (_read(device / "idVendor"), _read(device / "idProduct")) != USB_ID:
                continue
            serial = _read(device / "serial")
            settings: dict[str, object] = {"kind": "monsoon-hvpm", "channel": "main", "supply_voltage_v": "5.1 V"}
            if serial.isdecimal():
                settings["serial_number"] = int(serial)
            yield Attached(
                f"USB {device.name}",
                f"Monsoon on USB {serial}".rstrip(),
                settings,
                {
                    "channel": "the output in the board's supply line: main, usb or aux",
                    "supply_voltage_v": "what the board is fed with; opening the monitor sets Main to it",
                },
                _trouble(device, root),
            )

    def far_end(self, supply: Path, supply_voltage_v: float, seed: int) -> Program | None:
        return None

    def build(self, board: BoardSettings, far_end: Mapping[str, Any] | None) -> MonsoonHvpm:
        return self._driver()

    def _driver(self) -> MonsoonHvpm:
        main = MonsoonInput(self.channel, self.supply_voltage_v, self.supply_voltage_tolerance / 3**0.5)
        return MonsoonHvpm(
            [main, *(one.as_input() for one in self.also)],
            model=MODELS[self.model],
            serial_number=self.serial_number,
            power_up_limit_a=self.power_up_limit_a,
            run_time_limit_a=self.run_time_limit_a,
            latency_s=self.delivery_latency_s,
            latency_standard_uncertainty_s=self.delivery_latency_standard_uncertainty_s,
        )

    def wiring_problems(self, board: BoardSettings) -> list[str]:
        problems = []
        model, fed_v = MODELS[self.model], board.supply_voltage_v
        low_v, high_v = model.main_v
        if self.channel == "main" and not low_v <= fed_v <= high_v:
            problems.append(
                f"monitor.channel: the {model.name}'s Main output gives {low_v:g}-{high_v:g} V and cannot feed a board "
                f"of {fed_v:g} V; sense its supply with an INA226 in line"
            )
        if abs(fed_v - self.supply_voltage_v) > 0.1 * fed_v:
            problems.append(
                f"monitor.supply_voltage_v: {self.supply_voltage_v:g} V, but the board is fed with {fed_v:g} V; "
                "the meter must stand in the board's own supply line"
            )
        most_a = board.draw.power_w / fed_v if board.draw is not None else 0.0
        bears_a = min(CONTINUOUS_A, self.run_time_limit_a or CONTINUOUS_A)
        if self.channel == "main" and most_a > bears_a:
            problems.append(
                f"monitor: the board draws up to {most_a:.2g} A, the {model.name}'s Main gives {bears_a:g} A; raise "
                "run_time_limit_a if it is lower than that, or sense the board's own supply with an INA226 in line"
            )
        return problems
