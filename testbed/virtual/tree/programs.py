"""The programs that come with a board: what they are configured with, and their text as the tree holds it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.resources import files

from testbed.virtual.tree.hardware import Hardware

VCGENCMD = """#!/bin/sh
# The Raspberry Pi's firmware, as far as this testbed asks it (Raspberry Pi documentation, vcgencmd).
run="${0%/usr/bin/vcgencmd}/run"
case "$*" in
    get_throttled) read -r said <"$run/throttled" && echo "throttled=$said" ;;
    "measure_clock arm") read -r said <"$run/arm_hz" && echo "frequency(0)=$said" ;;
    *) echo 'error=1 error_msg="Command not registered"'; exit 255 ;;
esac
"""


def nvpmodel() -> str:
    """The text of the program, for this Python."""
    source = files("testbed.virtual").joinpath("nvpmodel.py").read_text("utf-8")
    return f"#!{sys.executable} -IS\n{source}"


def nvpmodel_conf(hardware: Hardware) -> str:
    """The file it reads, in the form of NVIDIA's: what each name of a mode stands for, then the modes."""
    return "\n".join([*_parameters(hardware), *_modes(hardware), "< PM_CONFIG DEFAULT=0 >"]) + "\n"


def _parameters(hardware: Hardware) -> Iterator[str]:
    cpu = "/sys/devices/system/cpu"
    yield "< PARAM TYPE=FILE NAME=CPU_ONLINE >"
    yield from (f"CORE_{core} {cpu}/cpu{core}/online" for core in range(1, hardware.cores))
    for number, cores in enumerate(hardware.clusters):
        policy = f"{cpu}/cpufreq/policy{cores[0]}"
        yield f"\n< PARAM TYPE=CLOCK NAME=CPU_A78_{number} >"
        yield f"FREQ_TABLE {policy}/scaling_available_frequencies"
        yield f"MAX_FREQ {policy}/scaling_max_freq"
        yield f"MIN_FREQ {policy}/scaling_min_freq"
    yield "\n< PARAM TYPE=CLOCK NAME=GPU >"
    yield f"FREQ_TABLE /{hardware.gpu_folder}/available_frequencies"
    yield f"MAX_FREQ /{hardware.gpu_folder}/max_freq"
    yield f"MIN_FREQ /{hardware.gpu_folder}/min_freq"
    for cap in hardware.caps:
        yield f"\n< PARAM TYPE=CLOCK NAME={_clock_name(cap.name)} >"
        yield f"MAX_FREQ /{cap.path}"
    yield ""


def _modes(hardware: Hardware) -> Iterator[str]:
    for number, mode in enumerate(hardware.modes):
        yield f"< POWER_MODEL ID={number} NAME={mode.name} >"
        yield from (f"CPU_ONLINE CORE_{core} {core < mode.cores:d}" for core in range(1, hardware.cores))
        for cluster in range(len(hardware.clusters)):
            yield f"CPU_A78_{cluster} MIN_FREQ 0"
            yield f"CPU_A78_{cluster} MAX_FREQ {mode.cpu_hz // 1000 or -1}"
        yield "GPU MIN_FREQ 0"
        yield f"GPU MAX_FREQ {mode.gpu_hz or -1}"
        for cap in hardware.caps:
            limit_hz = mode.emc_hz if cap.name == "emc" else mode.dla_hz
            yield f"{_clock_name(cap.name)} MAX_FREQ {limit_hz}"
        yield ""


def _clock_name(cap: str) -> str:
    return "EMC" if cap == "emc" else f"{cap.upper()}_CORE"
