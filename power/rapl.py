"""The energy counters of an x86 processor (RAPL), through the kernel's powercap tree.

What they count is the processor package: not the board, its supply, disks or fans.
Sources: Linux Documentation/power/powercap; Intel SDM volume 3B, "RAPL Interfaces".
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from power.monitor import Channel, Kind
from power.on_board import Layout, Manner, Readings, missing
from power.sampler_process import SamplerProcess

REFRESH_S = 1e-3
"""the counters are updated about so often (Intel SDM)"""
ENERGY_LSB_J = 61e-6
"""the coarser of the usual steps, 2^-14 J; others count in 15.3 uJ, 2^-16 J"""
GAIN_STANDARD_UNCERTAINTY = 0.05
"""no maker states one; published comparisons with meters find a few per cent (unconfirmed for any one processor)"""
CURES = {
    errno.EACCES: "since Linux 5.10 only root may read it: run as root, or `sudo chmod a+r` it after each boot, "
    "where nobody else on this machine must be kept from seeing what it computes",
}


class Rapl:
    """A `BoardSensor`: every zone of the tree is a channel, the packages add up to the total."""

    def __init__(
        self,
        *,
        rate_hz: float,
        gain_standard_uncertainty: float = GAIN_STANDARD_UNCERTAINTY,
        root: Path = Path("/"),
    ) -> None:
        self._step_w = ENERGY_LSB_J * rate_hz
        self._gain = gain_standard_uncertainty
        self._root = root

    @property
    def name(self) -> str:
        return "rapl"

    @property
    def manner(self) -> Manner:
        return Manner(Kind.COUNTING, 0.0, REFRESH_S, CURES)

    def survey(self, board: SamplerProcess) -> Layout:
        """Packages first, then their parts and the platform (psys), named after their zones."""
        tree = self._root / "sys/class/powercap"
        names = board.find(f"{tree}/intel-rapl:*/name")
        zones = [path.rpartition("/")[0] for path in names]
        labels = dict(zip(zones, board.read(*(("file", path) for path in names)), strict=True))
        # Memory-mapped twins of the same counters hang under intel-rapl-mmio; they are not counted again.
        packages = [zone for zone in zones if labels[zone].startswith("package")]
        if not packages:
            cure = "load the module intel_rapl_msr, and note that few virtual machines pass the counters on"
            raise missing(self.name, "processor package with an energy counter", list(labels.values()), cure)
        zones = packages + [zone for zone in zones if zone not in packages]
        limits = board.read(*(("file", f"{zone}/max_energy_range_uj") for zone in zones))
        parents = {zone.rpartition("/")[2].removeprefix("intel-rapl:"): labels[zone] for zone in packages}
        return Layout(
            sources=[(("file", f"{zone}/energy_uj"), 1) for zone in zones],
            channels=tuple(self._channel(_title(zone, labels[zone], parents)) for zone in zones),
            total=tuple(range(len(packages))),
            decoder=Counters([int(limit) for limit in limits]),
        )

    def _channel(self, name: str) -> Channel:
        return Channel(name, self._step_w, self._gain, 0.0)


def _title(zone: str, label: str, parents: dict[str, str]) -> str:
    number, _, part = zone.rpartition("/")[2].removeprefix("intel-rapl:").partition(":")
    return f"{parents.get(number, number)}/{label}" if part else label


class Counters:
    """The `Decoder` of counters in uJ that start anew beyond their ranges."""

    def __init__(self, ranges_uj: Sequence[int]) -> None:
        self._ranges_uj = np.array(ranges_uj, np.int64)
        self._last_uj: np.ndarray[Any, np.dtype[np.int64]] | None = None

    def decode(self, rows: Sequence[Sequence[Any]]) -> Readings:
        """Energy since the row before, in J. The very first row only tells where the counters stood."""
        uj = np.array([[int(value) for value in row] for row in rows], np.int64)
        first = uj[:1] if self._last_uj is None else self._last_uj
        since_uj = np.diff(uj, axis=0, prepend=first)
        since_uj += np.where(since_uj < 0, self._ranges_uj + 1, 0)
        sound = np.ones(len(uj), bool)
        sound[0] = self._last_uj is not None
        self._last_uj = uj[-1:]
        return Readings(since_uj * 1e-6, sound)
