"""Whether a board can serve: what the survey there found, judged."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from testbed.config.plugins import Agent
from testbed.deploy.board_end import run_program
from testbed.deploy.permissions import PERMISSIONS
from testbed.finding import Finding
from testbed.remote import AGENT_PACKAGES, archive

PYTHONS = ((3, 10), (3, 12))
"""oldest and newest that an agent runs in"""
NEEDED = ("numpy", "onnxruntime")
OFFERED = ("tensorrt", "gpiod", "smbus2")
"""used where they are there: GPU and DLA of a Jetson, a marker line, a sensor on I2C"""
LEAST_FREE_BYTES = 500_000_000
"""numpy and ONNX Runtime take about 200 MB, unpacked; models and logs come on top"""
CLOCK_OFF_S = 2.0
"""how far a board's date may be off; nothing measured goes by it, but certificates and logs do"""
SURVEY_S = 60.0
_JETPACKS = {"R32": ("4", "3.6"), "R35": ("5", "3.8"), "R36": ("6", "3.10"), "R38": ("7", "3.12"), "R39": ("7", "3.12")}
"""Jetson Linux release -> JetPack, and the Python of its Ubuntu (18.04, 20.04, 22.04, 24.04): that of its TensorRT"""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the board told, and how long it took to tell."""

    facts: Mapping[str, Any]
    clock_off_s: float
    """how much its date is ahead of this machine's"""
    clock_known_to_s: float

    @property
    def jetson(self) -> bool:
        """Whether NVIDIA's packages are beside its Python."""
        return bool(self.facts["l4t"])


def survey(agent: Agent) -> Survey:
    """Look at the board with the Python that `agent` names. Raises BenchError, or `testbed.ssh.Unreachable`."""
    order = {
        "python": agent.python,
        "packages": [*NEEDED, *OFFERED],
        "permissions": [(permission.pattern, permission.mode) for permission in PERMISSIONS],
    }
    begun_s = time.time()
    facts = run_program(agent, "board_survey.py", order, SURVEY_S)
    ended_s = time.time()
    return Survey(facts, facts["time_s"] - ended_s, ended_s - begun_s)


def agent_digest() -> str:
    """Tells one version of the agent's sources from another."""
    return hashlib.sha256(archive(AGENT_PACKAGES)).hexdigest()


def judge(found: Survey) -> Iterator[Finding]:
    """Each part of the survey."""
    inside = found.facts["agent"]
    yield python(found, inside["python"] if inside else found.facts["python"])
    yield _packages(found.facts)
    yield _version(found.facts)
    yield from _permissions(found.facts)
    yield _clock(found)
    yield _disk(found.facts)


def python(found: Survey, version: Sequence[int]) -> Finding:
    """An interpreter of the board by its version, and what to do about one that is too old or too new."""
    detail = ".".join(map(str, version))
    if PYTHONS[0] <= tuple(version[:2]) <= PYTHONS[1]:
        return Finding("python", "ok", detail)
    release = found.facts["l4t"].split()[1] if found.jetson and len(found.facts["l4t"].split()) > 1 else ""
    beside = ""
    if release in _JETPACKS:
        jetpack, own = _JETPACKS[release]
        beside = f"; this is JetPack {jetpack}, whose TensorRT is for its own Python {own} and will not be seen there"
    return Finding(
        "python",
        "wrong",
        f"{detail}, and the agent needs 3.10 to 3.12: put one beside it (`uv python install 3.10`, or a build of your "
        f"own) and name it with --python{beside}",
    )


def _packages(facts: Mapping[str, Any]) -> Finding:
    if facts["agent"] is None:
        return Finding("packages", "wrong", f"there is no {facts['agent_python']}; `testbed agent deploy` makes it")
    found = facts["agent"]["packages"]
    there = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    if missing := [name for name in NEEDED if not found[name]]:
        verdict: Literal["doubtful", "wrong"] = "wrong" if "numpy" in missing else "doubtful"
        return Finding(
            "packages",
            verdict,
            f"{facts['agent_python']} lacks {', '.join(missing)}; `testbed agent deploy` brings them",
        )
    return Finding("packages", "ok", there)


def _version(facts: Mapping[str, Any]) -> Finding:
    deployed = facts["deployed"]
    if deployed is None:
        return Finding(
            "restoring", "doubtful", "nothing puts things back there unattended; `testbed agent deploy` does it"
        )
    if deployed["digest"] != agent_digest():
        detail = (
            f"version {deployed['version']} on the board is another than this one's, and may not understand its leases"
        )
        return Finding("restoring", "wrong", f"{detail}: `testbed agent deploy` again")
    return Finding("restoring", "ok", f"version {deployed['version']}, the same as here")


def _permissions(facts: Mapping[str, Any]) -> Iterator[Finding]:
    for permission, found in zip(PERMISSIONS, facts["permissions"], strict=True):
        if found["path"] is not None:
            cure = permission.cure(facts["user"], found["group"])
            yield Finding(
                permission.what,
                "doubtful",
                f"{facts['user']} may not use {found['path']}, which {permission.needed_for} needs: {cure}",
            )
        elif found["found"]:
            yield Finding(permission.what, "ok", f"{facts['user']} may use them")


def _clock(found: Survey) -> Finding:
    off = f"its date is {found.clock_off_s:+.1f} s off this machine's (known to {found.clock_known_to_s:.1f} s)"
    synchronised = found.facts["synchronised"]
    if abs(found.clock_off_s) > CLOCK_OFF_S + found.clock_known_to_s:
        return Finding("date", "doubtful", f"{off}: downloads and logs go by it; sudo timedatectl set-ntp true")
    if synchronised == "no":
        return Finding("date", "doubtful", f"{off}; no time server holds it: sudo timedatectl set-ntp true")
    return Finding(
        "date", "ok", f"{off}; {'held by a time server' if synchronised == 'yes' else 'nobody says what holds it'}"
    )


def _disk(facts: Mapping[str, Any]) -> Finding:
    free = facts["free_bytes"]
    verdict: Literal["ok", "doubtful"] = "ok" if free >= LEAST_FREE_BYTES else "doubtful"
    return Finding("disk of the board", verdict, f"{free / 1e9:.1f} GB free at {facts['base']}")
