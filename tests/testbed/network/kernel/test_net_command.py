"""`testbed net` on a real kernel: what it does is seen from outside, and is gone when it has ended."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.cli import run_command_line
from tests.testbed.network.kernel.programs import command_line, program
from tests.testbed.network.kernel.wires import FAR_ADDRESSES, NEAR, PORT, Wire, kernel_state, one_way_s

TO = f"{FAR_ADDRESSES[4]}:{PORT}"
SHAPE = ("--interface", NEAR, "--to", TO)


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def net_command(*arguments: str) -> Done:
    """Within this process: a start of the program takes seconds here."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = run_command_line(["net", *arguments])
    return Done(status, out.getvalue(), err.getvalue())


@contextmanager
def applied(*arguments: str) -> Iterator[str]:
    """Holds a condition; yields what it says of it."""
    with program(command_line, "net", "apply", *SHAPE, *arguments) as process:
        try:
            said = process.stdout.readline()
            assert process.stdout.readline() == "held until Ctrl-C\n"
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == f"{NEAR} is given back\n"
        process.process.join()
        assert process.process.exitcode == 0


def test_a_condition_is_held_told_and_given_back_at_ctrl_c(a_wire: Wire) -> None:
    before = kernel_state()
    near, far = a_wire.sockets()
    with near, far:
        with applied("--rate-up", "5Mbit", "--delay", "20ms", "--loss", "0") as said:
            assert said == f"{NEAR}, {TO}: 5 Mbit/s up, no limit down, 20 ms each way\n"
            assert one_way_s(near, far, 5)[0] == pytest.approx(0.020, abs=0.0015)
            (shown,) = json.loads(net_command("status", "--json").stdout)
            assert (shown["interface"], shown["alive"]) == (NEAR, True)
            assert shown["owner"].startswith("testbed net on ")
            (path,) = shown["paths"]
            assert (path["rate_up_bps"], path["rate_down_bps"], path["delay_s"]) == (5e6, None, 0.02)
            assert "is in use by testbed net" in net_command("restore").stdout
            assert "is in use by testbed net" in net_command("apply", *SHAPE, "--rate", "1Mbit").stderr
        assert one_way_s(near, far, 5)[0] < 0.005
    assert kernel_state() == before
    assert net_command("status").stdout == "no interface is shaped\n"


def test_a_trace_is_played_logged_and_given_back(a_wire: Wire, tmp_path: Path) -> None:
    before = kernel_state()
    trace, log = tmp_path / "stairs.csv", tmp_path / "log.jsonl"
    trace.write_text("time,rate\n0,1 Mbit/s\n0.05,2 Mbit/s\n0.1,0\n")
    done = net_command("play", str(trace), *SHAPE, "--for", "0.3", "--rate-scale", "2", "--log", str(log))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 changes, late by ")
    changes = [json.loads(line) for line in log.read_text().splitlines()]
    assert [change["asked"]["rate_up_bps"] for change in changes] == [2e6, 4e6, 0.0] * 2
    assert all(change["time_ns"] >= change["due_ns"] for change in changes)
    assert all(change["observed"]["rate_up_bps"] == change["asked"]["rate_up_bps"] for change in changes)
    assert kernel_state() == before


def test_what_a_killed_program_left_is_given_back(a_wire: Wire) -> None:
    before = kernel_state()
    with program(command_line, "net", "apply", *SHAPE, "--rate", "1Mbit") as process:
        process.stdout.readline()
    # Its guard does so by itself; once that has let go there is nothing to do.
    while "is in use by" in (said := net_command("restore").stdout):
        pass
    assert "cannot" not in said
    assert kernel_state() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--interface", "eth9", "--to", TO, "--rssi", "-78"), "there is no network interface 'eth9'; there are: lo"),
        (("--interface", "lo", "--to", TO, "--rssi", "-78"), f"leave by the interface {NEAR}, not by lo"),
        (("--interface", NEAR, "--to", "203.0.113.5:80", "--rssi", "-78"), "cannot find a route to 203.0.113.5"),
    ],
)
def test_a_way_that_is_none_is_one_clear_line(a_wire: Wire, arguments: tuple[str, ...], message: str) -> None:
    done = net_command("apply", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
