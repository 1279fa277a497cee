"""Temperatures, clocks and the GPU's load, in one sweep over files that stay open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.agent.control.domain import Domain
from testbed.agent.control.files import text
from testbed.agent.telemetry.files import OpenFile

BROKEN_C = 99.9
"""some Tegra PMIC zones always read 100 degrees"""


class Sensors:
    """Of a board. Those that do not answer are left out of a sweep, and asked again in the next."""

    def __init__(self, root: Path, clocks: Sequence[Domain], gpu_load: Path | None) -> None:
        self._files: list[tuple[str, OpenFile, float]] = []
        for domain in clocks:
            for name in domain.files.current:
                self._add(f"{domain.name}_hz", domain.folder / name, domain.files.unit_hz)
        if gpu_load is not None:
            self._add("gpu_load", gpu_load, 1e-3)
        self._temperatures: list[tuple[str, OpenFile]] = []
        taken: set[str] = set()
        for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"), key=lambda zone: (len(zone.name), zone)):
            name = text(zone / "type") or zone.name
            name = f"{name}_{zone.name.removeprefix('thermal_zone')}" if name in taken else name
            taken.add(name)
            self._temperatures.append((f"{name}_c", OpenFile(zone / "temp")))

    def read(self) -> Mapping[str, float]:
        """Name, with its SI unit -> value; loads are 0..1."""
        told = {name: value * unit for name, file, unit in self._files if (value := file.number()) is not None}
        return told | self.temperatures_c()

    def temperatures_c(self) -> dict[str, float]:
        """Of each zone that tells one; without those that are known to lie."""
        told = {name: file.number() for name, file in self._temperatures}
        return {name: value / 1e3 for name, value in told.items() if value is not None and value / 1e3 < BROKEN_C}

    def close(self) -> None:
        """Close the files."""
        for _, file, _ in self._files:
            file.close()
        for _, file in self._temperatures:
            file.close()

    def _add(self, name: str, path: Path, unit: float) -> None:
        self._files.append((name, OpenFile(path), unit))
