"""The server as a program: its ready line, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def is_live(url: str) -> bool:
    address = urlsplit(url)
    http = HTTPConnection(address.hostname or "", address.port, timeout=10)
    http.request("GET", "/v2/health/live")
    status = http.getresponse().status
    http.close()
    return status == 200


def test_it_ends_with_its_stdin(program: Any, mean_path: Path) -> None:
    with program("testbed.serve", "--model", f"mean-fp32={mean_path}", "--threads", "1") as (process, url):
        assert is_live(url)
        process.stdin.close()
        assert process.wait(10) == 0


def test_it_ends_on_sigterm(program: Any, mean_path: Path) -> None:
    with program("testbed.serve", "--model", f"mean-fp32={mean_path}", "--threads", "1") as (process, url):
        assert is_live(url)
        process.terminate()
        assert process.wait(10) == 0


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"no model")
    command = [sys.executable, "-m", "testbed.serve", "--model", f"m={wrong}"]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    assert ended.returncode == 1
    assert f"{wrong} cannot be loaded" in ended.stderr
    assert "Traceback" not in ended.stderr
