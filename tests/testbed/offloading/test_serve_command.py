"""`testbed serve`, as a person starts and ends it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model
from testbed.agent.targets.kserve import RemoteTarget
from testbed.agent.targets.terms import Terms
from testbed.cli import run_command_line
from testbed.serve.repository import models_in


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The process, and the urls it tells."""
    command = [sys.executable, "-m", "testbed", "serve", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    urls = []
    with process:
        try:
            while (line := process.stdout.readline()).startswith("serving at "):
                urls.append(line.split()[-1])
            yield process, urls
        finally:
            process.kill()


@pytest.fixture
def folder(tmp_path: Path, mean_path: Path) -> Path:
    for place in ("models/mean-fp32/1/model.onnx", "models/mean-fp32/12/model.onnx", "models/again-fp32.onnx"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(mean_path, tmp_path / place)
    (tmp_path / "models/mean-fp32/config.pbtxt").write_text("")
    (tmp_path / "models/mean-fp32/old").mkdir()
    shutil.copy(mean_path, tmp_path / "models/mean-fp32/old/model.onnx")
    return tmp_path / "models"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_a_folder_over_http_and_grpc_until_it_is_told_to_end(
    folder: Path, mean_model: Model, number: int, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    arguments = [str(folder), "--port", "0", "--grpc-port", "0", "--threads", "1", "--token-file", f"{tmp_path}/token"]
    with serving(*arguments) as (process, urls):
        assert [url.partition(":")[0] for url in urls] == ["http", "grpc"]
        for url in urls:
            remote = RemoteTarget(url, MonotonicClock(), 10.0, Terms(token="s3cret")).load(mean_model, "fp32")
            remote.warm(mean_model.inputs)
            outputs = remote.run(mean_model.inputs[0]).outputs
            np.testing.assert_allclose(outputs["mean"], mean_model.inputs[0]["image"].mean((2, 3)), rtol=1e-5)
            remote.close()
        process.send_signal(number)
        assert process.wait(15) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_the_highest_version_is_served(folder: Path) -> None:
    found = models_in(folder)
    assert {name: file.version for name, file in found.items()} == {"mean-fp32": "12", "again-fp32": "1"}
    assert found["mean-fp32"].path == folder / "mean-fp32/12/model.onnx"


def mistake(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_command_line(["serve", *arguments]) != 0
    told = capfd.readouterr().err
    assert "Traceback" not in told
    return told


def test_a_folder_that_will_not_do_is_named(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path}/none is not a folder" in mistake(capfd, f"{tmp_path}/none")
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path}/empty holds no models: put NAME.onnx" in mistake(capfd, f"{tmp_path}/empty")
    (folder / "mean-fp32.onnx").write_bytes((folder / "again-fp32.onnx").read_bytes())
    assert "has model 'mean-fp32' twice" in mistake(capfd, str(folder))


def test_a_truncated_model_is_named(mean_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.onnx").write_bytes(mean_path.read_bytes()[:60])
    assert f"{tmp_path}/cut.onnx cannot be loaded" in mistake(capfd, str(tmp_path))


def test_a_port_that_is_taken(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} at 127.0.0.1 is taken by another program" in mistake(capfd, str(folder), f"--port={port}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "lets the whole network in: give --token-file"),
        (["--host", "192.0.2.1", "--token-env", "A_TOKEN"], "192.0.2.1 is no address of this machine"),
        (["--token-env", "NO_TOKEN"], "NO_TOKEN is empty or not there"),
        (["--token-env", "BAD_TOKEN"], "BAD_TOKEN holds no token"),
        (["--token-file", "nowhere"], "--token-file nowhere cannot be read"),
        (["--token-file", "a", "--token-env", "b"], "not both"),
        (["--tls-cert", "a.pem"], "go together"),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], "no certificate and its key"),
        (["--provider", "NoSuchProvider"], "NoSuchProvider"),
    ],
)
def test_a_mistake_is_one_clear_message(
    folder: Path, options: list[str], message: str, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("A_TOKEN", "s3cret")
    monkeypatch.setenv("BAD_TOKEN", "two words")
    told = mistake(capfd, str(folder), "--port", "0", *options)
    assert message in told
    assert "two words" not in told
