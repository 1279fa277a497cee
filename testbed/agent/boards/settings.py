"""What the opener of a real board is given, as plain values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.agent.control.controls import Wishes
from testbed.agent.guard.lease import FOLDER

_KEYS = frozenset(
    {
        "threads",
        "marker",
        "root",
        "leases",
        "owner",
        "wifi_interface",
        "power_mode",
        "cores",
        "cores_on",
        "cuda_graph",
        "governor",
        "caps_hz",
        "allow_reboot",
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one board."""

    threads: int
    cores: Sequence[int] | None
    """those of CPU inference; None: any"""
    cuda_graph: bool
    """whether engines on a GPU are launched as CUDA graphs"""
    marker: tuple[str, int] | None
    """GPIO chip and line"""
    root: Path
    """where /proc, /sys, /etc, /usr lie"""
    leases: Path
    owner: str
    wifi_interface: str | None
    wishes: Wishes


def read_settings(config: Mapping[str, Any], kind: str) -> Settings:
    """Absent keys, and None, stand for the defaults. Raises ValueError for an unknown one."""
    if unknown := set(config) - _KEYS:
        raise ValueError(f"unknown settings of a {kind} board: {', '.join(sorted(unknown))}")
    given = {key: value for key, value in config.items() if value is not None}
    wired = given.get("marker")
    return Settings(
        threads=int(given.get("threads") or len(given.get("cores", ())) or os.cpu_count() or 1),
        cores=given.get("cores"),
        cuda_graph=bool(given.get("cuda_graph", False)),
        marker=(str(wired["chip"]), int(wired["line"])) if wired else None,
        root=Path(str(given.get("root", "/"))),
        leases=Path(str(given.get("leases", FOLDER))),
        owner=str(given.get("owner", "a testbed agent")),
        wifi_interface=given.get("wifi_interface"),
        wishes=Wishes(
            power_mode=given.get("power_mode"),
            cores_on=given.get("cores_on"),
            governor=given.get("governor"),
            caps_hz=given.get("caps_hz", {}),
            allow_reboot=bool(given.get("allow_reboot", False)),
        ),
    )
