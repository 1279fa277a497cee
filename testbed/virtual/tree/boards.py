"""The trees of the boards there are profiles of: the layouts that `testbed.agent.control.locate` knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from testbed.virtual.profile import Circuit, Profile
from testbed.virtual.tree.hardware import Cap, Clock, Hardware, Mode

EMC_HZ = 3_199_000_000
"""LPDDR5 of the AGX Orin (nvpmodel_p3701_0000.conf)"""
_DLA_ADDRESSES = {"dla0": "15880000.nvdla0", "dla1": "158c0000.nvdla1"}


def hardware_of(name: str, profile: Profile, serial: str) -> Hardware:
    """The tree of the profile called so."""
    hardware = _TREES[name](profile)
    return replace(hardware, device_tree={**hardware.device_tree, "serial-number": serial})


def _agx_orin(profile: Profile) -> Hardware:
    """Jetson AGX Orin 64 GB, JetPack 6; its modes as nvpmodel_p3701_0000.conf has them, but for the GPU's units.

    The real board boots for 15W and 30W, which cut units of the GPU off; the law knows clocks only.
    """
    circuits = {processor: each.circuit for processor, each in profile.processors.items()}
    host = "sys/devices/platform/bus@0/13e00000.host1x"
    dla_hz = round(circuits["dla0"].highest_hz)
    return Hardware(
        device_tree={
            "model": "NVIDIA Jetson AGX Orin Developer Kit",
            "compatible": "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234",
        },
        clusters=tuple(tuple(range(first, first + 4)) for first in range(0, profile.cores, 4)),
        cpu=_clock(circuits["cpu"]),
        gpu=_clock(circuits["gpu"]),
        gpu_folder="sys/devices/platform/17000000.gpu/devfreq_dev",
        caps=(
            Cap("emc", "sys/kernel/nvpmodel_clk_cap/emc", EMC_HZ, uncapped_hz=0),
            *(
                Cap(dla, f"{host}/{address}/clk_cap/{dla}_core", dla_hz, uncapped_hz=dla_hz)
                for dla, address in _DLA_ADDRESSES.items()
            ),
        ),
        zones=("cpu-thermal", "gpu-thermal", "tj-thermal"),
        alerts=("cpu-throttle-alert", "gpu-throttle-alert"),
        modes=(
            Mode("MAXN", 12),
            Mode("MODE_15W", 4, 1_113_600_000, 408_000_000, 2_133_000_000, 614_400_000),
            Mode("MODE_30W", 8, 1_728_000_000, 612_000_000, 0, 1_369_600_000),
            Mode("MODE_50W", 12, 1_497_600_000, 816_000_000, 0, 1_369_600_000),
        ),
    )


def _raspberry_pi_5(profile: Profile) -> Hardware:
    return Hardware(
        device_tree={"model": "Raspberry Pi 5 Model B Rev 1.0", "compatible": "raspberrypi,5-model-b\0brcm,bcm2712"},
        clusters=(tuple(range(profile.cores)),),
        cpu=_clock(profile.processors["cpu"].circuit),
        zones=("cpu-thermal",),
        firmware=True,
    )


def _clock(circuit: Circuit) -> Clock:
    return Clock(tuple(map(round, circuit.frequencies_hz)), round(circuit.throttled_hz))


_TREES: Mapping[str, Callable[[Profile], Hardware]] = {
    "jetson-agx-orin": _agx_orin,
    "raspberry-pi-5": _raspberry_pi_5,
}
