from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from testbed.agent.contract import Model, Tensors
from testbed.config.plugins import Agent

BOARD_FOLDERS = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "SYSTEMD_UNIT_PATH")


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[Agent]:
    """The way to this very machine through an SSH server of the test's own."""
    server = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("needs the packages openssh-server and openssh-client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (tmp_path / "board" / "HOME").mkdir(parents=True)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "AuthorizedKeysFile": tmp_path / "user.pub",
        "HostKey": tmp_path / "host",
        "ListenAddress": f"127.0.0.1:{port}",
        "PidFile": "none",
        # What a board keeps for its user is kept here; and by it what runs on the "board" is told from all else.
        "SetEnv": " ".join(f"{name}={tmp_path / 'board' / name}" for name in BOARD_FOLDERS),
        "StrictModes": "no",
        "UsePAM": "no",
    }
    (tmp_path / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    client = {
        "IdentityFile": tmp_path / "user",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": tmp_path / "known_hosts",
        "LogLevel": "ERROR",
    }
    (tmp_path / "ssh_config").write_text("".join(f"{key} {value}\n" for key, value in client.items()))
    command = [server, "-D", "-e", "-f", str(tmp_path / "sshd_config")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "listening" in line:
                break
        yield Agent(via=f"ssh://127.0.0.1:{port}", python=sys.executable, ssh_config=tmp_path / "ssh_config")
        process.kill()


@dataclass
class Way:
    """The way to the board: what befalls it, and what was done with it."""

    folder: Path
    """first on PATH; see `bad_way`"""

    def refuse(self, times: int) -> None:
        """Refuse so many calls of ssh from now on."""
        (self.folder / "refusals").write_text(str(times))

    def cut_at(self, trial: int) -> None:
        """Cut the connection opened next when its n-th trial is asked for."""
        (self.folder / "cut").write_text(str(trial))

    def cut_at_every_trial(self) -> None:
        """Cut each connection from the next one on when its first trial is asked for."""
        self.cut_at(1)
        (self.folder / "always").touch()

    def calls(self, program: str = "calls") -> list[str]:
        """The arguments of each call of ssh, or of another program of this folder that notes them."""
        path = self.folder / program
        return path.read_text().splitlines() if path.exists() else []

    def program(self, name: str, script: str) -> None:
        """Put a program on PATH, which may note its calls in `$CALLS`."""
        places = f"CALLS={self.folder / name}.calls\nFOLDER={self.folder}"
        (self.folder / name).write_text(f"#!/bin/sh\n{places}\n{script}\n")
        (self.folder / name).chmod(0o755)


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    """A folder of programs first on PATH, with an ssh that can be made to fail."""
    found = Way(tmp_path / "bin")
    found.folder.mkdir()
    bad = Path(__file__).with_name("bad_way.py")
    found.program("ssh", f'exec {sys.executable} -E -S {bad} "$FOLDER" {shutil.which("ssh")} "$@"')
    monkeypatch.setenv("PATH", f"{found.folder}{os.pathsep}{os.environ['PATH']}")
    return found


def board_agents(tmp_path: Path) -> list[int]:
    """The processes of agents behind the test's own SSH server."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            ours = entry.name.isdigit() and f"HOME={tmp_path / 'board'}".encode() in (entry / "environ").read_bytes()
            if ours and (entry / "cmdline").read_bytes().split(b"\0")[-2].startswith(b"import sys;exec("):
                found.append(int(entry.name))
        except (OSError, IndexError):  # it ended meanwhile
            continue
    return found


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Doubles its input, and passes for EfficientNet-Lite0."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    inputs: list[Tensors] = [{"x": np.full(4, i, np.float32)} for i in range(3)]
    bytes_moved = {"fp32": 72_800_000, "fp16": 36_400_000, "int8": 18_200_000}
    files = dict.fromkeys(bytes_moved, tmp_path / "m.onnx")
    return Model("efficientnet-lite0", files, 385_000_000, bytes_moved, inputs)
