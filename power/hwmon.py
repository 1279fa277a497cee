"""Any power sensor that has a hwmon driver, by its chip's name and the rails that count."""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from power.monitor import Channel, Kind
from power.on_board import Layout, Manner, missing
from power.rails import RailFiles, hwmon_rails, sources
from power.sampler_process import SamplerProcess

CURES = {errno.EACCES: "run the board's agent as root, or let it read this file"}


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What the datasheet says of a chip as it is soldered; limits are taken as rectangular."""

    gain_limit: float
    """of power, relative, with the shunt resistor"""
    offset_limit_w: float
    step_w: float
    conversion_s: float
    """what one reading averages over"""
    refresh_s: float
    """how often there is a new one"""


class HwmonChip:
    """A `BoardSensor`: the chip's rails are channels. `chip` is what `/sys/class/hwmon/hwmon*/name` says."""

    def __init__(
        self,
        chip: str,
        *,
        total: Sequence[str],
        accuracy: Accuracy,
        voltage_divisor: int = 8,
        root: Path = Path("/"),
    ) -> None:
        if not total:
            raise ValueError("total: name the rails whose sum the board draws")
        self._chip, self._total, self._accuracy = chip, tuple(total), accuracy
        self._voltage_divisor, self._root = voltage_divisor, root

    @property
    def name(self) -> str:
        return f"rails of {self._chip}"

    @property
    def manner(self) -> Manner:
        return Manner(Kind.AVERAGING, self._accuracy.conversion_s, self._accuracy.refresh_s, CURES)

    def survey(self, board: SamplerProcess) -> Layout:
        """The chip's rails."""
        names = board.find(f"{self._root / 'sys/class/hwmon'}/hwmon*/name")
        chips = board.read(*(("file", name) for name in names))
        folders = [path.rpartition("/")[0] for path, chip in zip(names, chips, strict=True) if chip == self._chip]
        if not folders:
            raise missing(
                self.name, f"chip '{self._chip}'", sorted(set(chips)), "load its driver, or name one of these"
            )
        rails = hwmon_rails(board, folders)
        labels = [rail.label for rail in rails]
        for label in self._total:
            if label not in labels:
                raise missing(self.name, f"rail '{label}'", labels, "name some of these as the total")
        return Layout(
            sources=sources(rails, self._voltage_divisor),
            channels=tuple(self._channel(label) for label in labels),
            total=tuple(labels.index(label) for label in self._total),
            decoder=RailFiles(rails),
        )

    def _channel(self, name: str) -> Channel:
        return Channel(
            name,
            power_lsb_w=self._accuracy.step_w,
            gain_standard_uncertainty=self._accuracy.gain_limit / math.sqrt(3.0),
            offset_standard_uncertainty_w=self._accuracy.offset_limit_w / math.sqrt(3.0),
        )
