"""Tells what a board is like. Runs there, sent over SSH: standard library only, and any Python from 3.6 on."""

import glob
import grp
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from typing import Any


def main(order: "dict[str, Any]", payload: "dict[str, bytes]") -> "dict[str, Any]":
    """`order`: globs of `permissions` with their modes, `packages` to look for, the `python` of the agent."""
    place = base()
    python = order["python"] or os.path.join(place, "venv", "bin", "python")  # noqa: PTH118
    return {
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "venv": importable("ensurepip") and importable("venv"),
        "machine": os.uname().machine,
        "model": text("/proc/device-tree/model"),
        "l4t": text("/etc/nv_tegra_release").split(",")[0],
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "base": place,
        "free_bytes": free_bytes(place),
        "synchronised": said("timedatectl", "show", "--property=NTPSynchronized", "--value"),
        "permissions": [denied(pattern, mode) for pattern, mode in order["permissions"]],
        "agent_python": python,
        "agent": versions(python, order["packages"]),
        "deployed": json.loads(text(os.path.join(place, "deployed.json")) or "null"),  # noqa: PTH118
        "time_s": time.time(),
    }


def text(path: str) -> str:
    """The file's text; empty where it cannot be read."""
    try:
        with open(path) as file:  # noqa: PTH123 - an older Python's way
            return file.read().strip("\0 \n")
    except OSError:
        return ""


def said(*command: str) -> str:
    """What a command prints; empty where it is not there, or fails."""
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=20).decode().strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def importable(module: str) -> bool:
    """Whether this Python has it."""
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def base() -> str:
    """Where the agent's things are kept."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111
    return os.path.join(data, "edge-energy-testbed")  # noqa: PTH118


def denied(pattern: str, mode: str) -> "dict[str, Any]":
    """The paths that match, and the first that may not be used so, with the group that may."""
    paths = sorted(glob.glob(pattern))  # noqa: PTH207
    wanted = (os.R_OK if "r" in mode else 0) | (os.W_OK if "w" in mode else 0)
    for path in paths:
        if not os.access(path, wanted):
            status = os.stat(path)  # noqa: PTH116
            bits = (0o040 if "r" in mode else 0) | (0o020 if "w" in mode else 0)
            group = grp.getgrgid(status.st_gid).gr_name if status.st_mode & bits == bits else None
            return {"found": len(paths), "path": path, "group": None if group == "root" else group}
    return {"found": len(paths), "path": None, "group": None}


def free_bytes(path: str) -> int:
    """Free space where the folder is or would be."""
    while not os.path.exists(path):  # noqa: PTH110
        path = os.path.dirname(path)  # noqa: PTH120
    return shutil.disk_usage(path).free


def versions(python: str, names: "list[str]") -> "dict[str, Any] | None":
    """Of that interpreter and of packages in it, None for what is not there; None where there is no interpreter."""
    program = (
        "import importlib.metadata as m, json, sys\n"
        "def v(n):\n"
        " try: return m.version(n)\n"
        " except m.PackageNotFoundError: return None\n"
        "print(json.dumps({'python': sys.version_info[:3], 'packages': {n: v(n) for n in sys.argv[1:]}}))"
    )
    found = json.loads(said(python, "-c", program, *names) or "null")
    return found if isinstance(found, dict) else None
