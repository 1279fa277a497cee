"""Supply rails that the kernel shows as files: hwmon (mV, mA, uW) and the older Jetsons' iio (mW)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from power.on_board import Readings
from power.sampler_process import SamplerProcess, Source

_NUMBERED = re.compile(r"(in|curr|power|shunt)(\d+)_(input|label|resistor)")
_NOT_CONNECTED = ("NC", "")


@dataclass(frozen=True, slots=True)
class Rail:
    """One rail and its files, by path."""

    label: str
    current: str | None
    """mA; with a voltage, or else there is `power`"""
    voltage: str | None
    """mV"""
    power: str | None
    power_unit_w: float = 1e-6
    shunt_ohm: float | None = None
    """where the driver tells it"""


def hwmon_rails(board: SamplerProcess, folders: Iterable[str], inputs: range = range(100)) -> list[Rail]:
    """The rails of hwmon devices, of those inputs: numbered power files, or current and voltage of the same number.

    What has no label is called by its file's name. Inputs labelled NC, or that cannot be read, are left out.
    """
    rails = []
    for folder in folders:
        names = [path.rpartition("/")[2] for path in board.find(f"{folder}/*_input", f"{folder}/*_label")]
        names += [path.rpartition("/")[2] for path in board.find(f"{folder}/shunt*_resistor")]
        files = {name: f"{folder}/{name}" for name in names if _NUMBERED.fullmatch(name)}
        texts = [name for name in files if not name.endswith("_input")]
        told = dict(zip(texts, board.read(*(("file", files[name]) for name in texts)), strict=True))
        numbers = sorted({int(match[2]) for name in files if (match := _NUMBERED.fullmatch(name))})
        for n in (n for n in numbers if n in inputs):
            current, voltage, power = (files.get(f"{what}{n}_input") for what in ("curr", "in", "power"))
            if power is None and (current is None or voltage is None):
                continue
            label = next(
                (told[f"{what}{n}_label"] for what in ("power", "in", "curr") if f"{what}{n}_label" in told), None
            )
            if label in _NOT_CONNECTED:
                continue
            shunt = told.get(f"shunt{n}_resistor")
            rails.append(
                Rail(
                    label=label or (f"power{n}" if power else f"curr{n}"),
                    current=None if power else current,
                    voltage=None if power else voltage,
                    power=power,
                    shunt_ohm=int(shunt) * 1e-6 if shunt else None,
                )
            )
    return rails


def iio_rails(board: SamplerProcess, folders: Iterable[str]) -> list[Rail]:
    """The rails of iio devices as JetPack 4 has them: `rail_name_N` beside `in_powerN_input` in mW."""
    rails = []
    for folder in folders:
        paths = board.find(f"{folder}/rail_name_*")
        for path, label in zip(paths, board.read(*(("file", path) for path in paths)), strict=True):
            power = f"{folder}/in_power{path.rpartition('_')[2]}_input"
            if label not in _NOT_CONNECTED and board.find(power):
                rails.append(Rail(label, None, None, power, power_unit_w=1e-3))
    return rails


def sources(rails: Sequence[Rail], voltage_divisor: int) -> list[tuple[Source, int]]:
    """What to read of them: voltages, which move slowly, in every so-many-th sweep."""
    chosen: list[tuple[Source, int]] = []
    for rail in rails:
        if rail.power is not None:
            chosen.append((("file", rail.power), 1))
        else:
            chosen += [(("file", rail.current), 1), (("file", rail.voltage), voltage_divisor)]
    return chosen


class RailFiles:
    """The `Decoder` of what `sources` reads."""

    def __init__(self, rails: Sequence[Rail]) -> None:
        self._rails = rails

    def decode(self, rows: Sequence[Sequence[Any]]) -> Readings:
        """Texts of whole numbers, in the order of `sources`."""
        values = np.array([[int(text) for text in row] for row in rows], np.float64)
        columns, at = [], 0
        for rail in self._rails:
            if rail.power is not None:
                columns.append(values[:, at] * rail.power_unit_w)
                at += 1
            else:
                columns.append(values[:, at] * values[:, at + 1] * 1e-6)
                at += 2
        return Readings(np.stack(columns, axis=1), np.ones(len(values), bool))
