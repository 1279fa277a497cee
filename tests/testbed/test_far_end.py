"""Far ends as programs: they get ready, are paced or stepped, and none outlives its controller."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import textwrap
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.farend import FarEnd, FarEndError, advance, start_far_end
from testbed.virtual.supply import SupplyWriter

MONSOON = "testbed.virtual.meters.monsoon"
BRIDGE = "testbed.virtual.meters.bridge"
START_LVPM = bytes.fromhex("04 01 1b 01 21 08 02 ff ff ff ff 03 e8 f1")


def _ends(pid: int, timeout_s: float = 10.0) -> bool:
    """Waits for the end of a process that may be nobody's child here."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], timeout_s)[0])
    finally:
        os.close(handle)


@pytest.fixture
def supply(tmp_path: Path) -> Iterator[Path]:
    with SupplyWriter(tmp_path / "supply") as writer:
        writer.set(0, 4.2)
        yield tmp_path / "supply"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module to be filled by the test."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "far_end_of_a_test"


def _fill(tmp_path: Path, script: str, source: str) -> None:
    (tmp_path / f"{script}.py").write_text(textwrap.dedent(source))


def _open(far_end: FarEnd) -> int:
    port = os.open(far_end.ready["port"], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    return port


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (MONSOON, ["--output-voltage=4.2"]),
        (BRIDGE, ["--supply-voltage=15", "--sensor=ina226@0x40", "--shunt-ohm=0.005"]),
    ],
)
def test_a_meter_ends_with_its_stdin(supply: Path, module: str, arguments: list[str]) -> None:
    with start_far_end(module, [f"--supply={supply}", *arguments]) as far_end:
        assert far_end.ready["pid"] == far_end.process.pid
        assert far_end.ready["least_sample_latency_s"] == pytest.approx(0.011)
        assert far_end.process.poll() is None
    assert far_end.process.returncode == 0
    far_end.close()


def test_a_stepped_meter_answers_its_steps(supply: Path) -> None:
    with start_far_end(MONSOON, ["--stepped", f"--supply={supply}", "--output-voltage=4.2"]) as far_end:
        port = _open(far_end)
        os.write(port, bytes.fromhex("04 01 00 00 05"))
        advance(far_end, 10_000_000)
        assert len(os.read(port, 100)) == 60
        os.close(port)
        with pytest.raises(FarEndError, match=r"time does not go back"):
            advance(far_end, 1)


def test_a_stepped_meter_keeps_what_the_port_does_not_take(supply: Path) -> None:
    with start_far_end(MONSOON, ["--stepped", f"--supply={supply}", "--output-voltage=4.2"]) as far_end:
        port = _open(far_end)
        os.write(port, START_LVPM)
        advance(far_end, 2_000_000_000)
        heard = 0
        while heard < 90_000:
            assert select.select([port], [], [], 10)[0]
            heard += len(os.read(port, 65536))
        os.close(port)


def test_a_paced_meter_streams_at_its_rate(supply: Path) -> None:
    with start_far_end(MONSOON, [f"--supply={supply}", "--output-voltage=4.2"]) as far_end:
        port = _open(far_end)
        os.write(port, START_LVPM)
        heard = b""
        while len(heard) < 20_000:
            heard += os.read(port, 65536)
        os.close(port)
    coarse, seen = 0, 0
    while heard and heard[0] < len(heard):
        payload, heard = heard[1 : heard[0]], heard[heard[0] + 1 if heard[0] else 1 :]
        if payload and payload[1] == 0 and payload[0] & 0x20:
            words = list(struct.iter_unpack(">hhhH", payload[4:-1]))
            coarse += sum(word[0] & 1 for word in words)
            seen += len(words)
    assert seen > 1500
    assert coarse >= seen - 1, "the board draws 1 A; a stale sample tells nothing"


def test_it_ends_on_sigterm(supply: Path) -> None:
    with start_far_end(MONSOON, [f"--supply={supply}", "--output-voltage=4.2"]) as far_end:
        far_end.process.send_signal(signal.SIGTERM)
        assert far_end.process.wait(10) == 0


def test_nothing_is_left_of_a_killed_controller(supply: Path) -> None:
    source = f"""
        import sys, time
        from testbed.farend import start_far_end
        far_end = start_far_end({MONSOON!r}, ["--supply={supply}", "--output-voltage=4.2"])
        print(far_end.process.pid, flush=True)
        sys.stdin.read()
    """
    controller = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with controller:
        assert controller.stdout is not None
        pid = int(controller.stdout.readline())
        controller.kill()
        assert _ends(pid)


def test_a_mistake_in_its_options_comes_back(supply: Path) -> None:
    with pytest.raises(FarEndError, match=r"(?s)ended by itself with status 2.*no fault.*kinds are corrupt, drop, gap"):
        start_far_end(MONSOON, [f"--supply={supply}", "--output-voltage=4.2", "--fault=fire@1"])


def test_a_program_that_dies_says_its_last_words(tmp_path: Path, script: str) -> None:
    _fill(tmp_path, script, "raise SystemExit('the moon is down')")
    with pytest.raises(FarEndError, match=r"(?s)far_end_of_a_test ended by itself with status 1.*the moon is down"):
        start_far_end(script)


def test_a_program_that_is_no_far_end_is_told_so(tmp_path: Path, script: str) -> None:
    _fill(tmp_path, script, "print('hello', flush=True); input()")
    with pytest.raises(FarEndError, match="its first line is 'hello', not a JSON object"):
        start_far_end(script)


def test_a_program_that_never_gets_ready_is_given_up(tmp_path: Path, script: str) -> None:
    _fill(tmp_path, script, "input()")
    with pytest.raises(FarEndError, match=r"said nothing for 0\.2 s"):
        start_far_end(script, ready_timeout_s=0.2)


def test_a_program_that_will_not_end_is_killed(tmp_path: Path, script: str) -> None:
    _fill(
        tmp_path,
        script,
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("{}", flush=True)
        while True:
            time.sleep(100)
        """,
    )
    with start_far_end(script, stop_timeout_s=0.3) as far_end:
        pass
    assert far_end.process.returncode == -signal.SIGKILL
