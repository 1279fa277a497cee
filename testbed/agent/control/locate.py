"""Where a kernel keeps its clocks: paths differ from one release of NVIDIA's software to the next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed.agent.control.cap import Cap
from testbed.agent.control.domain import CPUFREQ, DEVFREQ, Domain
from testbed.agent.control.files import text
from testbed.agent.control.power_modes import PowerModes

GPUS = (
    "sys/devices/platform/17000000.gpu/devfreq_dev",  # Orin, JetPack 6
    "sys/devices/platform/17000000.gpu/devfreq/*",
    "sys/devices/17000000.ga10b/devfreq/17000000.ga10b",  # Orin, JetPack 5
    "sys/devices/17000000.gv11b/devfreq/17000000.gv11b",  # Xavier
    "sys/devices/57000000.gpu/devfreq/57000000.gpu",  # Nano
    "sys/class/devfreq/gpu-gpc-0",  # Thor
    "sys/class/devfreq/1[0-9]000000.g*",
    "sys/class/devfreq/57000000.gpu",
)
"""the first that is there counts; the last two are the kernel's own names for the same, wherever the device lies"""
GPU_LOADS = (
    "sys/devices/platform/17000000.gpu/load",
    "sys/devices/gpu.0/load",
    "sys/devices/17000000.ga10b/load",
    "sys/devices/17000000.gv11b/load",
    "sys/devices/57000000.gpu/load",
    "sys/class/devfreq/gpu-gpc-0/device/load",  # unconfirmed
)
"""per mille"""
EMC_CAPS = (
    "sys/kernel/nvpmodel_clk_cap/emc",  # JetPack 6
    "sys/kernel/nvpmodel_emc_cap/emc_iso_cap",  # JetPack 5
)
DLA_CAPS = (
    "sys/devices/platform/bus@0/13e00000.host1x/*.nvdla{n}/clk_cap/dla{n}_core",  # JetPack 6
    "sys/devices/platform/13e40000.host1x/*.nvdla{n}/acm/clk_cap/dla{n}_core",  # JetPack 5
    "sys/devices/platform/13e10000.host1x/*.nvdla{n}/acm/clk_cap/dla{n}_core",  # Xavier: unconfirmed
)
_DLAS = 2


def cpus(root: Path) -> list[Domain]:
    """Every cluster's clock; one whose cores are all off has none: its files are gone, or answer EBUSY."""
    folders = (root / "sys/devices/system/cpu/cpufreq").glob("policy[0-9]*")
    alive = [folder for folder in folders if text(folder / CPUFREQ.high)]
    ordered = sorted(alive, key=lambda folder: int(folder.name.removeprefix("policy")))
    return [Domain(f"cpu{folder.name.removeprefix('policy')}", folder, CPUFREQ) for folder in ordered]


def gpu(root: Path) -> Domain | None:
    """The GPU's clock."""
    folder = next((folder for folder in _found(root, GPUS) if (folder / DEVFREQ.high).exists()), None)
    return None if folder is None else Domain("gpu", folder, DEVFREQ)


def gpu_load(root: Path) -> Path | None:
    """The file that tells how busy the GPU is."""
    return next(iter(_found(root, GPU_LOADS)), None)


def emc(root: Path, modes: PowerModes) -> Cap | None:
    """The memory controller's cap."""
    path = next(iter(_found(root, EMC_CAPS)), None)
    return None if path is None else Cap("emc", path, modes.caps_hz("EMC"))


def dlas(root: Path, modes: PowerModes) -> list[Cap]:
    """The cap of each DLA this module has."""
    found = []
    for n in range(_DLAS):
        path = next(iter(_found(root, [pattern.format(n=n) for pattern in DLA_CAPS])), None)
        if path is not None:
            found.append(Cap(f"dla{n}", path, modes.caps_hz(f"DLA{n}_CORE")))
    return found


def _found(root: Path, patterns: Sequence[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(root.glob(pattern))]
