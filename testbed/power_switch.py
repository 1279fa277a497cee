"""Cuts a board's supply and brings it back, by the program that the bench names."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence

from testbed.config.power_switch import CommandSwitch, PowerSwitchSettings, UhubctlSwitch
from testbed.errors import BenchError

_PATIENCE_S = 30.0
"""for a command, beside the time the supply is off"""


def describe(settings: PowerSwitchSettings) -> str:
    """As it stands in messages."""
    if isinstance(settings, UhubctlSwitch):
        return f"uhubctl, hub {settings.location} port {settings.port}"
    return f"'{' '.join(settings.off)}'"


def cycle(settings: PowerSwitchSettings) -> None:
    """Cut the supply, wait, bring it back. Raises BenchError where the program does not do so."""
    if isinstance(settings, UhubctlSwitch):
        # One command for both, so that nothing that befalls this process leaves the board without power.
        action = ["-a", "cycle", "-d", f"{settings.off_s:g}"]
        _run(["uhubctl", "-l", settings.location, "-p", str(settings.port), *action], settings.off_s)
        return
    try:
        _run(settings.off)
        time.sleep(settings.off_s)
    finally:
        _run(settings.on)


def require(settings: PowerSwitchSettings) -> str:
    """That the program is there; a hub is asked for its port, and nothing is switched. Returns what was found.

    Raises BenchError.
    """
    if isinstance(settings, CommandSwitch):
        missing = [command[0] for command in (settings.off, settings.on) if shutil.which(command[0]) is None]
        if missing:
            raise BenchError(f"board.power: there is no program {', '.join(dict.fromkeys(missing))} here")
        return f"{describe(settings)}: the program is there, nothing was switched"
    found = _run(["uhubctl", "-l", settings.location, "-p", str(settings.port)])
    if f"Port {settings.port}:" not in found:
        raise BenchError(f"board.power: the hub at {settings.location} has no port {settings.port}; see `sudo uhubctl`")
    return f"{describe(settings)}: answers, nothing was switched"


def _run(command: Sequence[str], takes_s: float = 0.0) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=takes_s + _PATIENCE_S,
            check=False,
        )
    except FileNotFoundError:
        cure = "; on Debian: sudo apt-get install uhubctl" if command[0] == "uhubctl" else ""
        raise BenchError(f"board.power: there is no program {command[0]} here{cure}") from None
    except OSError as error:
        raise BenchError(f"board.power: {command[0]} cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise BenchError(f"board.power: '{' '.join(command)}' does not end") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        said = f": {words[-1]}" if words else ""
        raise BenchError(f"board.power: '{' '.join(command)}' ended with status {done.returncode}{said}")
    return done.stdout
