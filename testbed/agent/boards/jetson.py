"""A Jetson with NVIDIA's own Linux: Nano to Thor, as far as the paths of its release are known (`control.locate`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from testbed.agent.boards.desk import Parts
from testbed.agent.boards.real import RealBoard
from testbed.agent.boards.settings import read_settings
from testbed.agent.control import locate
from testbed.agent.control.controls import Knobs
from testbed.agent.control.cores import Cores
from testbed.agent.control.files import text
from testbed.agent.control.power_modes import PowerModes
from testbed.agent.telemetry.throttling import KernelThrottling


class NotThisBoard(Exception):
    """The machine is of another kind than the bench says."""


def open_board(config: Mapping[str, object]) -> RealBoard:
    """The Jetson the agent runs on; `config` is that of `settings.read_settings`. Raises NotThisBoard."""
    settings = read_settings(config, "jetson")
    require_jetson(settings.root)
    return RealBoard(settings, parts(settings.root))


def parts(root: Path) -> Parts:
    """What a Jetson is made of."""
    modes = PowerModes(root)
    return Parts(
        find=lambda: knobs(root, modes),
        throttling=KernelThrottling(root),
        gpu_load=locate.gpu_load(root),
    )


def knobs(root: Path, modes: PowerModes) -> Knobs:
    """What this Jetson has."""
    gpu, emc = locate.gpu(root), locate.emc(root, modes)
    caps = [*([emc] if emc else []), *locate.dlas(root, modes)]
    clocks = {"cpu": locate.cpus(root)} | ({"gpu": [gpu]} if gpu else {})
    return Knobs(clocks, {cap.name: cap for cap in caps}, Cores(root), modes)


def require_jetson(root: Path) -> None:
    """Raises NotThisBoard where neither device tree nor release file tells of a Jetson."""
    tree = root / "proc/device-tree"
    if "nvidia,tegra" not in text(tree / "compatible") and not (root / "etc/nv_tegra_release").exists():
        model = text(tree / "model") or "this machine"
        raise NotThisBoard(f"{model} is no Jetson with NVIDIA's Linux; kinds of other boards: raspberry-pi, linux")
