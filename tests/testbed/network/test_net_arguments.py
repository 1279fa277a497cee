"""What `testbed net` is told wrong: one clear line, an exit status, and nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.cli import run_command_line
from testbed.serve import InferenceServer

SHAPE = ("--interface", "lo", "--to", "127.0.0.1:8000")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("apply", *SHAPE), "what is the path to be like? give --rssi"),
        (("apply", *SHAPE, "--rate", "5MHz"), "--rate: '5MHz' is a frequency; a data rate is expected"),
        (("apply", *SHAPE, "--rate-up", "fast"), "--rate-up: 'fast' is not a data rate"),
        (("apply", *SHAPE, "--delay", "90"), "a condition's delay_s lies in 0..60, not 90.0"),
        (("apply", *SHAPE, "--delay", "-1ms"), "a condition's delay_s lies in 0..60, not -0.001"),
        (("apply", *SHAPE, "--rate", "nan"), "a condition's rate_up_bps lies in"),
        (("apply", *SHAPE, "--loss", "101%"), "a condition's loss lies in 0..1, not 1.01"),
        (("apply", *SHAPE, "--loss", "some"), "--loss: 'some' is no share: write it like '1%'"),
        (("apply", "--interface", "lo", "--to", "127.0.0.1", "--rate", "1Mbit"), "'127.0.0.1' is not HOST:PORT"),
        (("apply", "--interface", "lo", "--to", "127.0.0.1:99999", "--rate", "1Mbit"), "is not HOST:PORT"),
        (("apply", "--interface", "no0", "--to", "127.0.0.1:80", "--rate", "1Mbit"), "no network interface 'no0'"),
        (("play", "nowhere.csv", *SHAPE), "nowhere.csv: cannot be read: No such file"),
        (("probe", "--to", "127.0.0.1:1"), "is the endpoint running?"),
    ],
)
def test_a_mistake_is_one_clear_line(
    arguments: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["net", *arguments]) == 1
    told = capfd.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_trace_with_a_mistake_changes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.csv").write_text("time,rate\n0,1e6\n1,nan\n")
    assert run_command_line(["net", "play", str(tmp_path / "bad.csv"), *SHAPE]) == 1
    assert "bad.csv:3: rate: 'nan' is not a number" in capfd.readouterr().err


def test_a_path_is_probed_by_hand(capfd: pytest.CaptureFixture[str]) -> None:
    with InferenceServer({}) as server:
        assert run_command_line(["net", "probe", "--to", server.url.removeprefix("http://"), "--size", "5000"]) == 0
    said = capfd.readouterr().out
    assert said.startswith(f"{server.url}: round trip ")
    assert "Mbit/s up (5000 bytes a request)" in said
