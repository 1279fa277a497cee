from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.config.plugins import Agent


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[Agent]:
    """The way to this very machine through an SSH server of the test's own."""
    server = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("needs the packages openssh-server and openssh-client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
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
