"""The controller's end of the agent: start it, ask it, map its clock.

Nothing is installed on the board: the agent's own packages travel as a zip archive over the same channel
(execnet, over a local process or SSH).
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import execnet

from testbed.config.plugins import Agent as AgentSettings
from testbed.errors import BenchError, TransientError

_log = logging.getLogger(__name__)

AGENT_PACKAGES = ("testbed.agent", "scheduler")
_BOOTSTRAP = """
import os, sys, tempfile
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # its threads would be metered too
if os.getpid() != os.getpgrp():
    os.setsid()  # a Ctrl-C at the controller's terminal is the controller's to answer
with tempfile.TemporaryDirectory(prefix="testbed-agent-") as folder:
    archive = os.path.join(folder, "agent.zip")
    with open(archive, "wb") as file:
        file.write(channel.receive())
    sys.path.insert(0, archive)
    from testbed.agent.main import serve
    serve(channel)
"""
_START_TIMEOUT_S = 60.0
_CLOSE_TIMEOUT_S = 5.0
_CURE = "look at the board and the way to it, then resume the run"


class BoardLost(TransientError):
    """The agent went away or stopped answering."""


class RequestFailed(TransientError):
    """The agent could not do what it was asked; it lives on."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class RemoteAgent:
    """The agent on the board, started on entering and stopped on leaving."""

    def __init__(
        self, settings: AgentSettings, opener: str, packages: Sequence[str], config: dict[str, object]
    ) -> None:
        self._settings = settings
        self._opener = opener
        self._packages = (*AGENT_PACKAGES, *packages)
        self._config = config
        self.hello: dict[str, Any] = {}

    def __enter__(self) -> RemoteAgent:
        spec = _gateway_spec(self._settings)
        self._group = execnet.Group()
        try:
            gateway = self._group.makegateway(spec)
            self._channel = gateway.remote_exec(_BOOTSTRAP)
            self._channel.send(_archive(self._packages))
            self._channel.send((self._opener, self._config))
            self.hello = self._reply("start", _START_TIMEOUT_S)
        except (execnet.HostNotFound, OSError) as error:
            self._close()
            raise BenchError(_unreachable(self._settings, error)) from None
        except RequestFailed as error:
            self._close()
            raise BenchError(f"the board cannot be opened: {error}") from None
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._group.terminate(timeout=_CLOSE_TIMEOUT_S)

    def ask(self, method: str, patience_s: float = 60.0, **arguments: object) -> Any:
        """Have the agent run a method. Raises RequestFailed, or BoardLost when no answer comes in time."""
        try:
            self._channel.send((method, arguments))
        except OSError as error:
            raise BoardLost(f"the board's agent is gone: {error}") from None
        return self._reply(method, patience_s)

    def _reply(self, method: str, timeout_s: float) -> Any:
        try:
            status, *rest = self._channel.receive(timeout_s)
        except self._channel.TimeoutError:
            raise BoardLost(f"the board did not answer '{method}' within {timeout_s:g} s; {_CURE}") from None
        except EOFError:
            raise BoardLost(f"the board's agent ended during '{method}'; {_CURE}") from None
        except self._channel.RemoteError as error:
            lines = str(error).strip().splitlines()
            raise BenchError(f"the board's agent failed to start: {lines[-1] if lines else error}") from None
        if status == "ok":
            return rest[0]
        raise RequestFailed(rest[0], rest[1])


def _unreachable(settings: AgentSettings, error: Exception) -> str:
    if settings.via == "local":
        return f"the board's agent cannot be started with {settings.python or 'this Python'}: {error}"
    # Whichever end of the broken pipe noticed first says nothing of use; ssh itself has told why.
    return f"{settings.via} cannot be reached by ssh without a password: try `ssh` by hand, set up a key"


def _gateway_spec(settings: AgentSettings) -> str:
    if settings.via == "local":
        return f"popen//python={settings.python}" if settings.python else "popen"
    place = urlsplit(settings.via)
    # BatchMode: a password prompt would hang a run nobody watches.
    options = "-o BatchMode=yes -o ConnectTimeout=10" + (f" -p {place.port}" if place.port else "")
    host = f"{place.username}@{place.hostname}" if place.username else place.hostname
    config = f"//ssh_config={settings.ssh_config}" if settings.ssh_config else ""
    return f"ssh={options} {host}//python={settings.python or 'python3'}{config}"


def _archive(packages: Sequence[str]) -> bytes:
    """The packages' sources, with the `__init__.py` of every parent, as a zip archive that Python imports from."""
    sources: dict[str, Path] = {}
    for package in packages:
        parts = package.split(".")
        for depth in range(1, len(parts)):
            parent = Path(str(files(".".join(parts[:depth]))))
            sources["/".join([*parts[:depth], "__init__.py"])] = parent / "__init__.py"
        root = Path(str(files(package)))
        for source in sorted(root.rglob("*.py")):
            sources["/".join([*parts, *source.relative_to(root).parts])] = source
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sources.items():
            archive.write(source, name)
    return content.getvalue()
