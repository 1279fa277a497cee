"""A Raspberry Pi: cpufreq as any Linux, the firmware's own word on clocks and throttling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from testbed.agent.boards.desk import Parts
from testbed.agent.boards.jetson import NotThisBoard
from testbed.agent.boards.linux import knobs
from testbed.agent.boards.real import RealBoard
from testbed.agent.boards.settings import read_settings
from testbed.agent.control.files import text
from testbed.agent.control.tools import find_tool
from testbed.agent.telemetry.throttling import PiThrottling, ask_firmware

_MEASURED = re.compile(r"frequency\(\d+\)=(\d+)")


def open_board(config: Mapping[str, object]) -> RealBoard:
    """The Pi the agent runs on; `config` is that of `settings.read_settings`. Raises NotThisBoard."""
    settings = read_settings(config, "raspberry-pi")
    tree = settings.root / "proc/device-tree"
    if "raspberrypi," not in text(tree / "compatible"):
        model = text(tree / "model") or "this machine"
        raise NotThisBoard(f"{model} is no Raspberry Pi; kinds of other boards: jetson, linux")
    return RealBoard(settings, parts(settings.root))


def parts(root: Path) -> Parts:
    """What a Pi is made of."""
    vcgencmd = find_tool("vcgencmd", root)
    return Parts(
        find=lambda: knobs(root),
        throttling=PiThrottling(vcgencmd),
        measured_cpu_hz=lambda: measured_hz(vcgencmd),
    )


def measured_hz(vcgencmd: str | None) -> float | None:
    """The CPU's clock as the firmware measures it: scaling_cur_freq is what was asked for."""
    match = _MEASURED.fullmatch(ask_firmware(vcgencmd, "measure_clock", "arm"))
    return float(match[1]) if match else None
