"""How a virtual board is asked for: plain values, strictly checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from testbed.virtual.profile import Profile
from testbed.virtual.profiles import agx_orin, raspberry_pi_5
from testbed.virtual.twin import profile_of

PROFILES: Mapping[str, Profile] = {"jetson-agx-orin": agx_orin.PROFILE, "raspberry-pi-5": raspberry_pi_5.PROFILE}


@dataclass(frozen=True, slots=True)
class Config:
    """One virtual board."""

    supply: Path
    """file that takes the power it draws"""
    seed: int
    profile: str | None = None
    """one of `PROFILES`; None: a twin"""
    twin_of: bytes | None = None
    """content of the power-model file the board is built after"""
    clock_offset_s: float = 0.0
    """of the board's clock against the host's, at the start"""
    clock_drift_ppm: float = 0.0
    marker: bool = False
    """whether a wire goes to the meter's marker input"""
    thermal_time_scale: float = 1.0
    """of the thermal time constant: below 1 the board heats and cools sooner than the real one"""
    ambient_c: float = 25.0
    power_mode: str | None = None
    cores_on: int | None = None
    governor: str | None = None

    def __post_init__(self) -> None:
        if (self.profile is None) == (self.twin_of is None):
            raise ValueError("virtual board: give either a profile or a power model to build it after")
        if self.profile is not None and self.profile not in PROFILES:
            raise ValueError(f"there is no virtual board {self.profile!r}{_hint(self.profile, list(PROFILES))}")
        if self.thermal_time_scale <= 0.0:
            raise ValueError(f"thermal_time_scale is above 0, not {self.thermal_time_scale}")


def profile_in(config: Config) -> Profile:
    """The board's profile. Raises ValueError for a power model that tells too little for one."""
    if config.twin_of is not None:
        return profile_of(config.twin_of, "the power model")
    assert config.profile is not None
    return PROFILES[config.profile]


def read(config: Mapping[str, Any]) -> Config:
    """Raises ValueError naming a key that is unknown or missing."""
    known = {field.name: field for field in fields(Config)}
    for key in config:
        if key not in known:
            raise ValueError(f"virtual board: unknown key {key!r}{_hint(key, list(known))}")
    for key in ("supply", "seed"):
        if config.get(key) is None:
            raise ValueError(f"virtual board: {key} is missing")
    return Config(**{**config, "supply": Path(config["supply"])})


def _hint(wrong: str, known: list[str]) -> str:
    near = get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
