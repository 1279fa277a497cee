"""Programs that are known to set clocks on their own, where they run."""

from __future__ import annotations

from pathlib import Path

from testbed.agent.control.files import text

_KNOWN = {
    "nvpower": "nvpower",
    "nvpower.sh": "nvpower",
    "nvpmodel": "nvpmodel",
    "nvpmodel_indica": "nvpmodel_indicator",
    "nvphsd": "nvphsd",
    "jetson_clocks": "jetson_clocks",
    "jtop": "jtop",
    "power-profiles-": "power-profiles-daemon",
    "tuned": "tuned",
    "tuned-ppd": "tuned",
    "thermald": "thermald",
    "auto-cpufreq": "auto-cpufreq",
    "cpufreqd": "cpufreqd",
    "ondemand": "ondemand",
}
"""name of the process as the kernel cuts it off, at 15 characters -> what people call it"""


def clock_setters(proc: Path) -> list[str]:
    """Those that run now."""
    names = {text(process / "comm") for process in proc.glob("[0-9]*")}
    return sorted({_KNOWN[name] for name in names if name in _KNOWN})
