"""Any machine that runs Linux, such as the controller's own host: cpufreq, cores, what /proc and /sys tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from testbed.agent.boards.desk import Parts
from testbed.agent.boards.real import RealBoard
from testbed.agent.boards.settings import read_settings
from testbed.agent.control import locate
from testbed.agent.control.controls import Knobs
from testbed.agent.control.cores import Cores
from testbed.agent.control.power_modes import PowerModes
from testbed.agent.telemetry.throttling import KernelThrottling


def open_board(config: Mapping[str, object]) -> RealBoard:
    """The machine the agent runs on; `config` is that of `settings.read_settings`."""
    settings = read_settings(config, "linux")
    return RealBoard(settings, Parts(lambda: knobs(settings.root), KernelThrottling(settings.root)))


def knobs(root: Path) -> Knobs:
    """What any Linux has."""
    return Knobs({"cpu": locate.cpus(root)}, {}, Cores(root), PowerModes(root))
