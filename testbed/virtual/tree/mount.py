"""The board's end of its tree: starts the process that serves it, and ends it.

A process of its own, because this one starts programs that lie in the tree: Python holds its lock until such a program
has begun, and could not serve its file meanwhile. Nor does it then take anything from what is measured.
"""

from __future__ import annotations

import importlib.util
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from testbed.virtual.tree.hardware import Hardware
from testbed.virtual.tree.wires import Wires

_INSTALL = "sudo apt-get install fuse3"
_SERVE = ("-m", "testbed.virtual.tree.serve")
_KEEP = """exec 3<&0; root=$1; shift; "$@" <&3; fusermount3 -q -u -z "$root"; true"""
"""serves, and unmounts whatever became of that: libfuse's auto_unmount may miss that its server was killed"""
_READY_S = 20.0
_END_S = 5.0


class NoTree(Exception):
    """This host cannot show a tree; says why, and what mends it."""


class MountedTree:
    """The files of a board under `root`, until it is closed."""

    def __init__(self, hardware: Hardware, beside: Path) -> None:
        """Raises NoTree. What it needs of the disk it makes beside that file."""
        _require_fuse()
        with ExitStack() as stack:
            self.folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="board-", dir=beside.absolute().parent))
            )
            self.root = self.folder / "root"
            self.root.mkdir()
            self.wires = stack.enter_context(Wires(self.folder / "wires"))
            # Where the agent's sources came in an archive, that is in the path.
            path = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
            complaints = stack.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                ["sh", "-c", _KEEP, "sh", str(self.root), sys.executable, *_SERVE, str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
                # Left alone, mfusepy takes a libfuse 2 where there is one, which does without fusermount3.
                env={"FUSE_LIBRARY_NAME": "fuse3"} | os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
            )
            stack.callback(self._end)
            self._say(hardware.to_json())
            if not self._is_ready():
                self._end()
                complaints.seek(0)
                raise NoTree(f"they cannot be mounted ({_gist(complaints.read())}); {_INSTALL}, or allow mounts")
            self._open = stack.pop_all()

    def close(self) -> None:
        """Unmount it. Twice does no harm."""
        self._open.close()

    def __enter__(self) -> MountedTree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it says why on stderr

    def _is_ready(self) -> bool:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return bool(selector.select(_READY_S)) and self._process.stdout.readline() == b"ready\n"

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            subprocess.run(["fusermount3", "-q", "-u", "-z", str(self.root)], check=False)
        process.stdout.close()


def _require_fuse() -> None:
    """Raises NoTree."""
    if not Path("/dev/fuse").exists():
        raise NoTree("this host has no /dev/fuse; load its kernel's module fuse, or give a container that device")
    if shutil.which("fusermount3") is None:
        raise NoTree(f"this host has no fusermount3; {_INSTALL}")
    if importlib.util.find_spec("mfusepy") is None:
        raise NoTree(f"{sys.executable} has no package mfusepy; {sys.executable} -m pip install mfusepy")


def _gist(complaints: bytes) -> str:
    """What fusermount3 says, else the end of a traceback."""
    lines = complaints.decode(errors="replace").strip().splitlines() or ["no answer"]
    return next((line for line in lines if line.startswith("fuse")), lines[-1])
