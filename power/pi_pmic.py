"""The power-management chip of a Raspberry Pi 5, which tells current and voltage of its rails to the firmware.

Source: `vcgencmd pmic_read_adc`, Raspberry Pi documentation; the form of its output from outputs that people published.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from power.errors import WrongDevice
from power.monitor import Channel, Kind
from power.on_board import Layout, Manner, Readings
from power.sampler_process import SamplerProcess

COMMAND = ("vcgencmd", "pmic_read_adc")
CURRENT_LSB_A = 1e-3
"""about: most rails' published currents are multiples of 0.976 mA (inferred)"""
GAIN_STANDARD_UNCERTAINTY = 0.05
"""a guess: no accuracy of this chip's converter is published"""
CURES = {
    errno.ENOENT: "is this a Raspberry Pi? Its system has vcgencmd (package raspi-utils)",
    errno.EACCES: "add yourself to the group video and log in again",
}
_READING = re.compile(r"^\s*(\S+)_([AV])\s+(?:current|volt)\(\d+\)=(-?\d+(?:\.\d+)?)[AV]\s*$", re.MULTILINE)


class PiPmic:
    """A `BoardSensor`: every rail with a current and a voltage is a channel, their sum the total.

    What is no rail of this chip (the USB ports, the fan, the converters' own losses) is not in it.
    """

    def __init__(self, *, gain_standard_uncertainty: float = GAIN_STANDARD_UNCERTAINTY) -> None:
        self._gain = gain_standard_uncertainty

    @property
    def name(self) -> str:
        return "pi-pmic"

    @property
    def manner(self) -> Manner:
        return Manner(Kind.INSTANTANEOUS, 0.0, 0.0, CURES)

    def survey(self, board: SamplerProcess) -> Layout:
        """Which rails this board's chip has."""
        source = ("command", list(COMMAND))
        (text,) = board.read(source)
        readings = parse(text)
        rails = [name for name, unit in readings if unit == "A" and (name, "V") in readings]
        if not rails:
            raise WrongDevice(f"{self.name}: `{' '.join(COMMAND)}` tells of no rail; only a Raspberry Pi 5 has them")
        return Layout(
            sources=((source, 1),),
            channels=tuple(
                Channel(name, CURRENT_LSB_A * max(readings[name, "V"], 0.1), self._gain, 0.0) for name in rails
            ),
            total=tuple(range(len(rails))),
            decoder=Rails(rails),
        )


def parse(text: str) -> dict[tuple[str, str], float]:
    """(rail, "A" or "V") -> current or voltage, in the output's order."""
    return {(name, unit): float(value) for name, unit, value in _READING.findall(text)}


class Rails:
    """The `Decoder` of the command's output."""

    def __init__(self, rails: Sequence[str]) -> None:
        self._rails = rails

    def decode(self, rows: Sequence[Sequence[Any]]) -> Readings:
        """A row holds one output; one that lacks a rail is no reading."""
        parsed = [parse(text) for (text,) in rows]
        current_a, voltage_v = (
            np.array([[reading.get((rail, unit), np.nan) for rail in self._rails] for reading in parsed])
            for unit in ("A", "V")
        )
        power_w = current_a * voltage_v
        return Readings(power_w, np.isfinite(power_w).all(axis=1), voltage_v, current_a)
