"""The controller's end of the agent: start it, ask it, map its clock.

Nothing is installed on the board: the agent's own packages travel as a zip archive over the same channel
(execnet, over a local process or SSH).
"""

from __future__ import annotations

import io
import logging
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any

import execnet

from testbed.config.plugins import Agent as AgentSettings
from testbed.errors import BenchError, TransientError
from testbed.ssh import host_arguments, run_there, unreachable

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
    from testbed.agent import main
    if main.__file__.startswith(archive):
        main.serve(channel, channel.receive())
    else:
        channel.send(("error", "OtherVersion", main.__file__))
"""
_START = "start"
_START_TIMEOUT_S = 60.0
_REPLY_TIMEOUT_S = 60.0
_REACH_TIMEOUT_S = 30.0
"""of the way to the board alone, before the agent is sent there again"""
_CLOSE_TIMEOUT_S = 5.0
_LOST_TIMEOUT_S = 0.1
"""for the connection of an agent that was lost, which has nothing more to say"""
_SIGN_S = 0.5
"""between two signs of life"""
_CURE = "look at the board and the way to it, then resume the run"


class BoardLost(TransientError):
    """The agent went away or stopped answering."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; {_CURE}")
        self.what = what
        """without the cure"""


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
        self.on_told: Callable[[str], None] = _log.info
        """gets what the agent says while it works on a request, line by line"""

    def __enter__(self) -> RemoteAgent:
        self._start()
        return self

    def start_again(self) -> None:
        """Start it anew after it was lost; the one before is ended, should it have outlived the connection.

        Raises BenchError or a TransientError where the board is not ready for it, or not yet.
        """
        self._close(_LOST_TIMEOUT_S)
        if self._settings.via != "local":
            run_there(self._settings, ["true"], _REACH_TIMEOUT_S)
        self._start()

    def _start(self) -> None:
        spec = _gateway_spec(self._settings)
        self._group = execnet.Group()
        try:
            self._gateway = self._group.makegateway(spec)
            self._channel = self._gateway.remote_exec(_BOOTSTRAP)
            self._channel.send(archive(self._packages))
            self._signs = self._gateway.newchannel()
            self._channel.send(self._signs)
            self._channel.send((self._opener, self._config, self.hello.get("process")))
            self.hello = self._reply(_START, _START_TIMEOUT_S)
        except (execnet.HostNotFound, OSError) as error:
            self._close()
            raise BenchError(_unreachable(self._settings, error)) from None
        except RequestFailed as error:
            self._close()
            if error.kind == "OtherVersion":
                raise BenchError(_other_version(self._settings, str(error))) from None
            raise BenchError(f"the board cannot be opened: {error}") from None
        except BaseException:
            self._close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        self._group.terminate(timeout=timeout_s)

    @property
    def answer_s(self) -> float:
        """How long the bench lets the board take for a trial."""
        return self._settings.answer_s

    def ask(self, method: str, patience_s: float | None = None, **arguments: object) -> Any:
        """Have the agent run a method. Raises RequestFailed, or BoardLost when nothing comes in time.

        `patience_s` is for what may take long; None: a minute, or what the bench allows where that is less.
        """
        if patience_s is None:
            patience_s = min(_REPLY_TIMEOUT_S, self.answer_s)
        try:
            if arguments:
                self._send_within(patience_s, (method, arguments))
            else:  # it fits into the pipe, whatever the far end does
                self._channel.send((method, arguments))
        except OSError:
            raise BoardLost(f"the board's agent ended before '{method}'") from None
        return self._reply(method, patience_s)

    def _send_within(self, patience_s: float, message: object) -> None:
        """Send; an end that takes nothing more is cut off after `patience_s`, as execnet itself would wait for it."""
        cut_off = threading.Timer(patience_s, self._gateway._io.kill)
        cut_off.daemon = True
        try:  # from before the start on: a Ctrl-C while a thread starts would leave it, and the program, waiting
            cut_off.start()
            self._channel.send(message)
        finally:
            cut_off.cancel()

    @contextmanager
    def signs_of_life(self) -> Iterator[None]:
        """Give the agent some as long as this lasts; without them it gives the board's network back."""
        enough = threading.Event()
        thread = threading.Thread(target=self._live, args=(enough,), name="signs of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join(_CLOSE_TIMEOUT_S)

    def _live(self, enough: threading.Event) -> None:
        while not enough.wait(_SIGN_S):
            with suppress(OSError):  # the agent is gone; another may come
                self._signs.send(None)

    def _reply(self, method: str, timeout_s: float) -> Any:
        try:
            status, *rest = self._channel.receive(timeout_s)
            while status == "told":
                self.on_told(rest[0])
                status, *rest = self._channel.receive(timeout_s)
        except self._channel.TimeoutError:
            raise BoardLost(f"the board did not answer '{method}' within {timeout_s:g} s") from None
        except EOFError:
            raise BoardLost(f"the board's agent ended during '{method}'") from None
        except self._channel.RemoteError as error:
            lines = str(error).strip().splitlines() or [str(error)]
            if method == _START:
                raise BenchError(f"the board's agent failed to start: {lines[-1]}") from None
            raise BoardLost(f"the board's agent ended during '{method}': {lines[-1]}") from None
        if status == "ok":
            return rest[0]
        raise RequestFailed(rest[0], rest[1])


def _unreachable(settings: AgentSettings, error: Exception) -> str:
    if settings.via == "local":
        return f"the board's agent cannot be started with {settings.python or 'this Python'}: {error}"
    # Whichever end of the broken pipe noticed first says nothing of use; ssh itself has told why.
    return unreachable(settings)


def _other_version(settings: AgentSettings, where: str) -> str:
    python = settings.python or "its Python"
    return (
        f"{python} on the board ({settings.via}) has loaded another version of the agent, {where}, before the one that "
        "was sent: take that package away there, or name another interpreter under board.agent.python"
    )


def _gateway_spec(settings: AgentSettings) -> str:
    if settings.via == "local":
        return f"popen//python={settings.python}" if settings.python else "popen"
    config = f"//ssh_config={settings.ssh_config}" if settings.ssh_config else ""
    return f"ssh={' '.join(host_arguments(settings))}//python={settings.python or 'python3'}{config}"


def archive(packages: Sequence[str]) -> bytes:
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
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, source in sources.items():
            # No dates: the same sources are the same archive.
            file.writestr(zipfile.ZipInfo(name), source.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()
