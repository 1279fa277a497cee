"""`kind: rapl`: the energy counters of an x86 processor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from power import Rapl, rapl
from testbed.config.plugins import Attached
from testbed.config.quantities import Hertz
from testbed.monitors.on_board import OnBoardMonitor


class RaplMonitor(OnBoardMonitor):
    """Counts the processor packages alone: neither the rest of the machine nor its supply's losses."""

    kind: Literal["rapl"]
    gain_standard_uncertainty: float = Field(default=rapl.GAIN_STANDARD_UNCERTAINTY, ge=0, le=1)
    """relative; the default is a guess, for no maker states one"""
    rate_hz: Hertz = Field(default=100.0, gt=0, le=500)

    @classmethod
    def attached(cls, root: Path) -> Iterable[Attached]:
        tree = root / "sys/class/powercap"
        packages = sorted(
            zone.parent.name for zone in tree.glob("intel-rapl:*/energy_uj") if zone.parent.name.count(":") == 1
        )
        if packages:
            yield Attached(str(tree), f"RAPL counters {', '.join(packages)} of this host", {"kind": "rapl"})

    def board_sensor(self) -> Rapl:
        return Rapl(rate_hz=self.rate_hz, gain_standard_uncertainty=self.gain_standard_uncertainty)
