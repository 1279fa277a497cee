"""The INA3221 monitors on NVIDIA's Jetson modules, which the kernel reads: which rails there are, what is the total.

Sources: NVIDIA Jetson Linux documentation (r35, r36), the kernel's drivers/hwmon/ina3221.c and tegra234 device trees,
datasheet SBOS576 (INA3221). What is marked unconfirmed rests on memory or on one weak source.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from power.errors import SensorFault, WrongDevice
from power.monitor import Channel, Kind
from power.on_board import Layout, Manner, missing
from power.rails import Rail, RailFiles, hwmon_rails, iio_rails, sources
from power.sampler_process import SamplerProcess

CONVERSION_S = 1.1e-3
"""of one input's shunt or bus voltage: the INA3221's default, which NVIDIA's device trees leave"""
CYCLE_S = 6 * CONVERSION_S
"""shunt and bus voltage of three inputs, one after the other"""
SHUNT_LSB_V, BUS_LSB_V = 40e-6, 8e-3
SHUNT_OFFSET_LIMIT_V = 80e-6
GAIN_LIMIT = 0.0025
"""offset and gain: unconfirmed"""
SHUNT_TOLERANCE = 0.01
"""assumed; NVIDIA states none"""
SHUNT_INPUTS = range(1, 4)
"""in4 to in7 are shunt voltages and their sum, no rails"""
CURES = {
    errno.EACCES: "JetPack 4 lets only root read its rails: run the board's agent as root (`ssh://root@...`)",
}


@dataclass(frozen=True, slots=True)
class Jetson:
    """A family of modules."""

    name: str
    modules: tuple[str, ...]
    """numbers in the device tree's `compatible`"""
    models: tuple[str, ...]
    """words in the device tree's `model`, where `compatible` names no module"""
    total: tuple[str, ...]
    """the rails that add up to what the module draws"""
    shunt_ohm: float
    remark: str | None = None


JETSONS = (
    Jetson("Jetson Nano", ("p3448",), ("Jetson Nano",), ("POM_5V_IN",), 5e-3),
    Jetson("Jetson Xavier NX", ("p3668",), ("Xavier NX",), ("VDD_IN",), 5e-3),
    Jetson(
        "Jetson AGX Xavier",
        ("p2888", "p2972"),
        ("AGX Xavier",),
        ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
        5e-3,
        "this board has no rail of its whole input: the total is the sum of its rails, whose names are unconfirmed",
    ),
    Jetson("Jetson Orin NX or Nano", ("p3767",), ("Orin NX", "Orin Nano"), ("VDD_IN",), 5e-3),
    Jetson(
        "Jetson AGX Orin",
        ("p3701",),
        ("AGX Orin",),
        ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"),
        2e-3,
        "this board has no rail of its whole input: the total is the sum of its rails, which may overlap (unconfirmed)",
    ),
    Jetson(
        "Jetson AGX Thor",
        ("p3834",),
        ("Thor",),
        ("VIN",),
        5e-3,
        "which input of its INA238 is VIN is unconfirmed: compare with a meter in the supply line",
    ),
)


class JetsonRails:
    """A `BoardSensor`: the rails are channels, the total is the board's own. The carrier's share is in none of them.

    `rails` are those to read, absent: all; each takes up to a conversion cycle to read. `shunt_ohm` replaces what the
    driver or the table say.
    """

    def __init__(
        self,
        *,
        rails: Sequence[str] | None = None,
        shunt_ohm: float | None = None,
        shunt_tolerance: float = SHUNT_TOLERANCE,
        voltage_divisor: int = 8,
        root: Path = Path("/"),
    ) -> None:
        self._wanted, self._shunt_ohm, self._tolerance = rails, shunt_ohm, shunt_tolerance
        self._voltage_divisor, self._root = voltage_divisor, root

    @property
    def name(self) -> str:
        return "rails"

    @property
    def manner(self) -> Manner:
        return Manner(Kind.AVERAGING, CONVERSION_S, CYCLE_S, CURES)

    def survey(self, board: SamplerProcess) -> Layout:
        """Which Jetson it is, and its rails."""
        jetson = self._identify(board)
        rails = self._find(board)
        labels = [rail.label for rail in rails]
        for label in (*jetson.total, *(self._wanted or ())):
            if label not in labels:
                cure = f"is this a {jetson.name} with NVIDIA's own kernel? Else name its chip and rails"
                raise missing(self.name, f"rail '{label}'", labels, cure)
        if self._wanted is not None:
            rails = [rail for rail in rails if rail.label in (*jetson.total, *self._wanted)]
            labels = [rail.label for rail in rails]
        return Layout(
            sources=sources(rails, self._voltage_divisor),
            channels=tuple(self._channel(board, rail, jetson) for rail in rails),
            total=tuple(labels.index(label) for label in jetson.total),
            decoder=RailFiles(rails),
            remarks=(jetson.remark,) if jetson.remark else (),
        )

    def _identify(self, board: SamplerProcess) -> Jetson:
        tree = self._root / "proc/device-tree"
        try:
            model, compatible = board.read(("file", f"{tree}/model"), ("file", f"{tree}/compatible"))
        except SensorFault:
            raise WrongDevice(f"{self.name}: no Jetson, it has no device tree; name a chip and its rails") from None
        by_module = [jetson for jetson in JETSONS if any(module in compatible for module in jetson.modules)]
        by_model = [jetson for jetson in JETSONS if any(words in model for words in jetson.models)]
        found = by_module or by_model
        if not found:
            raise WrongDevice(f"{self.name}: '{model}' is no Jetson this testbed knows; name a chip and its rails")
        return found[0]

    def _find(self, board: SamplerProcess) -> list[Rail]:
        drivers = self._root / "sys/bus/i2c/drivers"
        inputs = hwmon_rails(board, board.find(f"{drivers}/ina3221*/*/hwmon/hwmon*"), SHUNT_INPUTS)
        inputs += [
            Rail("VIN", None, None, rail.power)
            for rail in hwmon_rails(
                board, board.find(f"{drivers}/ina238/*/hwmon/hwmon*", f"{drivers}/ina2xx/*/hwmon/hwmon*")
            )
            if rail.power is not None
        ]
        return inputs + iio_rails(board, board.find(f"{drivers}/ina3221*/*/iio:device*"))

    def _channel(self, board: SamplerProcess, rail: Rail, jetson: Jetson) -> Channel:
        """At the voltage the rail has now; an iio device's is unknown, and taken for its label's 5 V."""
        voltage_v = int(board.read(("file", rail.voltage))[0]) * 1e-3 if rail.voltage else 5.0
        voltage_v = max(voltage_v, BUS_LSB_V)
        shunt_ohm = self._shunt_ohm or rail.shunt_ohm or jetson.shunt_ohm
        return Channel(
            rail.label,
            power_lsb_w=SHUNT_LSB_V / shunt_ohm * voltage_v,
            gain_standard_uncertainty=math.hypot(
                GAIN_LIMIT * math.sqrt(2.0 / 3.0),  # current's and voltage's own
                self._tolerance / math.sqrt(3.0),
                BUS_LSB_V / math.sqrt(12.0) / voltage_v,
            ),
            offset_standard_uncertainty_w=SHUNT_OFFSET_LIMIT_V / math.sqrt(3.0) / shunt_ohm * voltage_v,
        )
