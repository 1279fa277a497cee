"""Makes, fills and takes away the agent's place on a board. Runs there, sent over SSH: standard library only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

Order = dict[str, Any]
Payload = dict[str, bytes]
UNITS = ("testbed-restore.service", "testbed-restore.timer")


def main(order: Order, payload: Payload) -> Order:
    """Do what `order` says at its `base` with the files of `payload`; the answer has `failed` where that went wrong."""
    steps = {"venv": venv, "packages": packages, "files": files, "remove": remove}
    try:
        return steps[order["do"]](Path(order["base"]), order, payload)
    except subprocess.CalledProcessError as error:
        return {"failed": (error.stderr or error.stdout or str(error)).strip()}
    except OSError as error:
        return {"failed": str(error)}


def run(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)


def venv(base: Path, order: Order, payload: Payload) -> Order:
    """A virtual environment of this very Python; one that is there and as wanted stays."""
    home = base / "venv"
    wanted = [f"{sys.version_info[0]}.{sys.version_info[1]}", str(order["system_site"]).lower()]
    try:
        lines = dict(line.split(" = ", 1) for line in (home / "pyvenv.cfg").read_text().splitlines() if " = " in line)
        found = [".".join(lines["version"].split(".")[:2]), lines["include-system-site-packages"]]
        run(str(home / "bin" / "python"), "-m", "pip", "--version")
    except (OSError, KeyError, subprocess.CalledProcessError):
        found = []
    if found != wanted:
        base.mkdir(parents=True, exist_ok=True)
        site = ["--system-site-packages"] if order["system_site"] else []
        run(sys.executable, "-m", "venv", "--clear", *site, str(home))
    return {}


def packages(base: Path, order: Order, payload: Payload) -> Order:
    """What the agent needs, from the index that this board's pip knows, or from the wheels that came along."""
    wheels = base / "wheels"
    source = []
    if payload:
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir(parents=True)
        for name, content in payload.items():
            (wheels / name).write_bytes(content)
        source = ["--no-index", "--find-links", str(wheels)]
    pip = [str(base / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    try:
        run(*pip, "install", "--only-binary", ":all:", *source, *order["requirements"])
    finally:
        shutil.rmtree(wheels, ignore_errors=True)
    return {}


def files(base: Path, order: Order, payload: Payload) -> Order:
    """The agent's sources, and the units that have them put things back unattended."""
    replace(base / "agent.zip", payload["agent.zip"])
    replace(base / "deployed.json", json.dumps(order["deployed"]).encode())
    folder, systemctl = units()
    places = {b"@PYTHON@": base / "venv" / "bin" / "python", b"@ARCHIVE@": base / "agent.zip"}
    for name in UNITS:
        content = payload[name]
        for mark, place in places.items():
            content = content.replace(mark, bytes(place))
        replace(folder / name, content)
    enable = [*systemctl, "enable", "--now", UNITS[1]]
    try:
        run(*systemctl, "daemon-reload")
        run(*enable)
    except (OSError, subprocess.CalledProcessError) as error:
        why = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        return {"unattended": False, "why": why, "enable": enable}
    return {"unattended": True, "lingers": os.geteuid() == 0 or lingers()}


def remove(base: Path, order: Order, payload: Payload) -> Order:
    """Everything, once what a dead agent left altered is put back."""
    folder, systemctl = units()
    there = base.exists() or any((folder / name).exists() for name in UNITS)
    python, archive = base / "venv" / "bin" / "python", base / "agent.zip"
    put_back = ""
    if python.exists() and archive.exists():
        environment = {**os.environ, "PYTHONPATH": str(archive)}
        put_back = run(str(python), "-m", "testbed.agent.guard", "sweep", env=environment).stdout
    with suppress(OSError, subprocess.CalledProcessError):  # it was never enabled, or there is no systemd
        run(*systemctl, "disable", "--now", UNITS[1])
    for name in UNITS:
        (folder / name).unlink(missing_ok=True)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "testbed"
    for gone in (base, cache / "board"):
        if gone.exists():
            shutil.rmtree(gone)
    return {"there": there, "put_back": put_back.splitlines()}


def units() -> tuple[Path, list[str]]:
    """Where units of this user belong, and how they are switched; leases belong to the user whose agent took them."""
    if os.geteuid() == 0:
        return Path(os.environ.get("SYSTEMD_UNIT_PATH") or "/etc/systemd/system"), ["systemctl"]
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config / "systemd" / "user", ["systemctl", "--user"]


def lingers() -> bool:
    """Whether units of this user run though nobody is logged in."""
    try:
        return run("loginctl", "show-user", str(os.geteuid()), "--property=Linger", "--value").stdout.strip() == "yes"
    except (OSError, subprocess.CalledProcessError):
        return False


def replace(path: Path, content: bytes) -> None:
    """The file is the old one or the new one, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
