"""The way to a board by the ssh program: no password is asked for, and a board that falls silent is noticed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from testbed.config.plugins import Agent
from testbed.errors import TransientError

OPTIONS = (
    "BatchMode=yes",  # a password prompt would hang a run nobody watches
    "ConnectTimeout=10",
    # A board that loses its power says no goodbye: TCP alone would take a quarter of an hour to notice.
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)
_FAILED = 255
"""ssh's own exit status, of whatever went wrong between here and there"""


class Unreachable(TransientError):
    """There is no way to the board now."""


def host_arguments(agent: Agent) -> list[str]:
    """The arguments of ssh that name its options, the port and the host; no space is in any of them."""
    place = urlsplit(agent.via)
    options = [word for option in OPTIONS for word in ("-o", option)]
    port = ["-p", str(place.port)] if place.port else []
    return [*options, *port, f"{place.username}@{place.hostname}" if place.username else str(place.hostname)]


def run_there(
    agent: Agent, command: Sequence[str], patience_s: float, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a command where the agent runs. Raises Unreachable, or that it took longer than `patience_s`."""
    line = list(command)
    if agent.via != "local":
        config = ["-F", str(agent.ssh_config)] if agent.ssh_config else []
        line = ["ssh", *config, *host_arguments(agent), shlex.join(command)]
    try:
        done = subprocess.run(line, input=stdin, capture_output=True, timeout=patience_s, check=False)
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{agent.via} did not run '{command[0]}' within {patience_s:g} s") from None
    except OSError as error:
        raise Unreachable(f"{line[0]} cannot be started: {error.strerror}") from None
    if agent.via != "local" and done.returncode == _FAILED:
        raise Unreachable(unreachable(agent, done.stderr.decode(errors="replace")))
    return done


def python_of(agent: Agent) -> str:
    """The Python that the agent runs in."""
    return agent.python or (sys.executable if agent.via == "local" else "python3")


def unreachable(agent: Agent, why: str = "") -> str:
    """The message of a host that ssh does not get to; ssh itself says `why`, where it was heard."""
    reason = f" ({why.strip().splitlines()[-1]})" if why.strip() else ""
    return f"{agent.via} cannot be reached by ssh without a password{reason}: try `ssh` by hand, set up a key"
