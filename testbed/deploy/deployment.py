"""Puts the agent's place on a board in order, step by step, and takes it away."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from importlib.metadata import requires, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from testbed.config.plugins import Agent
from testbed.deploy import checks
from testbed.deploy.board_end import run_program
from testbed.errors import BenchError
from testbed.finding import Finding
from testbed.remote import AGENT_PACKAGES, archive

DISTRIBUTION = "edge-energy-testbed"
VENV_S, PACKAGES_S, FILES_S = 300.0, 1800.0, 120.0
"""bounds: a slow card takes minutes to hold a virtual environment, a slow line to bring ONNX Runtime"""
_UNITS = ("testbed-restore.service", "testbed-restore.timer")


def needs(also: Sequence[str] = ()) -> list[str]:
    """What the agent needs on the board, as this distribution states it, and more that is asked for."""
    stated = [line.partition(";")[0].strip() for line in requires(DISTRIBUTION) or () if "extra ==" not in line]
    return [line for line in stated if re.split(r"[^\w-]", line, maxsplit=1)[0] in checks.NEEDED] + list(also)


def deploy(
    agent: Agent, on_step: Callable[[str], None], also: Sequence[str] = (), wheels: Path | None = None
) -> Iterator[Finding]:
    """Make or renew the agent's place with the board's own Python, which `agent` names. What is as it should be stays.

    Yields what it finds; raises BenchError where it cannot go on.
    """
    on_step(f"looking at {agent.via}")
    found = checks.survey(agent)
    if (interpreter := checks.python(found, found.facts["python"])).verdict == "wrong":
        raise BenchError(f"{agent.via}: Python {interpreter.detail}")
    if not found.facts["venv"]:
        own = f"python{found.facts['python'][0]}.{found.facts['python'][1]}-venv"
        raise BenchError(f"{agent.via}: its Python has no venv module; install it there: sudo apt-get install {own}")
    payload = {} if wheels is None else _wheels(found, wheels, also)
    base = {"base": found.facts["base"]}
    on_step("making its virtual environment")
    run_program(agent, "board_install.py", {**base, "do": "venv", "system_site": found.jetson}, VENV_S)
    on_step(f"installing {', '.join(needs(also))}")
    _install_packages(agent, found, base, also, payload)
    on_step("putting the agent's sources there")
    units = {name: files("testbed.deploy").joinpath(name).read_bytes() for name in _UNITS}
    deployed = {
        "version": version(DISTRIBUTION),
        "digest": checks.agent_digest(),
        "created": datetime.now(timezone.utc).isoformat(),
        "by": platform.node(),
    }
    sources = {"agent.zip": archive(AGENT_PACKAGES), **units}
    answer = run_program(agent, "board_install.py", {**base, "do": "files", "deployed": deployed}, FILES_S, sources)
    yield from checks.judge(checks.survey(agent.model_copy(update={"python": venv_python(base["base"])})))
    yield _unattended(found.facts["user"], answer)


def remove(agent: Agent) -> list[str]:
    """Take everything away that `deploy` and agents left there; returns what was done, in words."""
    found = checks.survey(agent)
    order = {"do": "remove", "base": found.facts["base"]}
    answer = run_program(agent, "board_install.py", order, FILES_S)
    if not answer["there"]:
        return [f"nothing was deployed on {agent.via}"]
    return [*answer["put_back"], f"removed {found.facts['base']} from {agent.via}"]


def venv_python(base: str) -> str:
    """The interpreter of a place."""
    return f"{base}/venv/bin/python"


def block(agent: Agent, base: str) -> str:
    """The `board.agent` block of a bench file."""
    config = f", ssh_config: {agent.ssh_config}" if agent.ssh_config else ""
    return f'  agent: {{via: "{agent.via}", python: {venv_python(base)}{config}}}'


def _wheels(found: checks.Survey, folder: Path, also: Sequence[str]) -> dict[str, bytes]:
    if not (payload := {file.name: file.read_bytes() for file in sorted(folder.glob("*.whl"))}):
        raise BenchError(f"{folder} holds no wheels; {_how_to_download(found, folder, also)}")
    return payload


def _install_packages(
    agent: Agent, found: checks.Survey, base: dict[str, Any], also: Sequence[str], wheels: dict[str, bytes]
) -> None:
    order = {**base, "do": "packages", "requirements": needs(also)}
    try:
        run_program(agent, "board_install.py", order, PACKAGES_S, wheels)
    except BenchError as error:
        cure = _how_to_download(found, Path("wheels"), also)
        raise BenchError(f"{error}\nA board without internet takes wheels from here; {cure}") from None


def _how_to_download(found: checks.Survey, wheels: Path, also: Sequence[str]) -> str:
    number = ".".join(map(str, found.facts["python"][:2]))
    machine = found.facts["machine"]
    tags = " ".join(f"--platform manylinux_2_{glibc}_{machine}" for glibc in (28, 27, 17))
    wanted = " ".join(f"'{each}'" for each in needs(also))
    return (
        f"have them by `pip download --only-binary :all: --python-version {number} {tags} -d {wheels} {wanted}`, then "
        f"deploy with --wheels {wheels}"
    )


def _unattended(user: str, answer: dict[str, Any]) -> Finding:
    if not answer["unattended"]:
        how = f"once there is a systemd: {' '.join(answer['enable'])}"
        return Finding("timer", "doubtful", f"what puts things back unattended is not running ({answer['why']}); {how}")
    if not answer["lingers"]:
        return Finding("timer", "doubtful", f"runs only while {user} is logged in: sudo loginctl enable-linger {user}")
    return Finding("timer", "ok", "looks every minute for what a dead agent left altered")
