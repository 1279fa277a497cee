"""`testbed monitor` against emulated meters at the far end of their wires."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from serial import Serial

from results import Trace
from testbed.config import load_bench
from testbed.farend import FarEnd, start_far_end
from testbed.virtual.supply import SupplyWriter
from testbed.wiring import wiring_problems
from tests.testbed.whole.conftest import BENCH, CommandLine

VOLTS, OHMS, GAIN, BUS_GAIN, OFFSET_V = 5.1, 10.0, 0.021, -0.0007, 6e-6
"""of the specimen: beyond an INA226's limits in its gain, within them in its offset"""
REAL = """
name: real
board: {{kind: linux, model: raspberry-pi-4, supply_voltage_v: 5.1 V}}
monitor:
  {{kind: ina-bridge, port: {port}, sensor: ina226, address: 0x41, shunt_ohm: {shunt_ohm}, supply_voltage_v: 5.1 V}}
"""


@pytest.fixture
def supply(tmp_path: Path) -> Iterator[SupplyWriter]:
    with SupplyWriter(tmp_path / "supply") as writer:
        writer.set(time.monotonic_ns(), 0.0)
        yield writer


@pytest.fixture
def meter(supply: SupplyWriter, tmp_path: Path) -> Iterator[Callable[..., FarEnd]]:
    """Starts meters on `supply`."""
    with ExitStack() as stack:
        arguments = {
            "bridge": [f"--supply-voltage={VOLTS}", "--sensor=ina226@0x41", "--shunt-ohm=0.02", "--serial=B7"],
            "monsoon": ["--output=aux", f"--output-voltage={VOLTS}", "--serial-number=4711"],
        }

        def start(program: str, *more: str) -> FarEnd:
            own = [f"--supply={tmp_path / 'supply'}", *arguments[program], *more]
            return stack.enter_context(start_far_end(f"testbed.virtual.meters.{program}", own))

        yield start


def bench_at(line: CommandLine, far_end: FarEnd, shunt_ohm: str = "20 mOhm") -> str:
    return line.write("real.yaml", REAL.format(port=far_end.ready["port"], shunt_ohm=shunt_ohm))


def test_list_tells_meters_from_silent_busy_and_missing_ports(
    command_line: CommandLine, meter: Callable[..., FarEnd]
) -> None:
    bridge, lvpm = meter("bridge"), meter("monsoon")
    (silent, silent_port), (busy, busy_port) = pty.openpty(), pty.openpty()
    try:
        names = [os.ttyname(silent_port), os.ttyname(busy_port)]
        with Serial(names[1], exclusive=True):
            done = command_line.run(
                "monitor", "list", bridge.ready["port"], lvpm.ready["port"], *names, "/dev/ttyNOSUCH"
            )
    finally:
        for descriptor in (silent, silent_port, busy, busy_port):
            os.close(descriptor)
    assert done.returncode == 0, done.stderr
    assert "INA bridge B7, firmware 1.0, sensors at 0x41" in done.stdout
    assert "Monsoon LVPM 4711, firmware 20" in done.stdout
    assert f"{names[0]}  no meter answers there" in done.stdout
    assert f"{names[1]}  {names[1]} is in use by another process" in done.stdout
    assert "cannot open /dev/ttyNOSUCH" in done.stdout


def test_the_block_that_list_prints_makes_a_bench(command_line: CommandLine, meter: Callable[..., FarEnd]) -> None:
    lines = command_line.run("monitor", "list", meter("bridge").ready["port"]).stdout.partition("\n")[2]
    board = "name: pasted\nboard: {kind: linux, model: raspberry-pi-5, supply_voltage_v: 5.1 V}\n"
    bench = load_bench(command_line.folder / command_line.write("pasted.yaml", board + lines))
    assert not wiring_problems(bench)
    assert yaml.safe_load(lines)["monitor"]["address"] == 0x41


def test_a_meter_that_a_killed_process_left_streaming_is_found_and_usable(
    command_line: CommandLine, meter: Callable[..., FarEnd]
) -> None:
    far_end = meter("bridge")
    bench = bench_at(command_line, far_end)
    process = command_line.start("monitor", "stream", "--bench", bench)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    assert "INA bridge B7" in command_line.run("monitor", "list", far_end.ready["port"]).stdout
    assert command_line.run("monitor", "info", "--bench", bench).returncode == 0


def test_info_says_what_the_meter_is(command_line: CommandLine, meter: Callable[..., FarEnd]) -> None:
    done = command_line.run("monitor", "info", "--bench", bench_at(command_line, meter("bridge")))
    assert done.returncode == 0, done.stderr
    for fact in ("serial number B7, firmware 1.0", "averaging, over 140 us", "shortest window", "ppm", "0.58%"):
        assert fact in done.stdout


def test_info_of_a_silent_port_fails(command_line: CommandLine) -> None:
    done = command_line.run("monitor", "info", "/dev/ttyNOSUCH")
    assert done.returncode == 1


def test_streaming_into_a_pipe_gives_lines_that_say_what_is_simulated(command_line: CommandLine) -> None:
    done = command_line.run("monitor", "stream", "--bench", "bench.yaml", "--for", "2.2s")
    assert done.returncode == 0, done.stderr
    assert "virtual bench: simulated silicon, real protocol" in done.stdout
    *_, last = done.stdout.splitlines()
    assert last.startswith("2.2 s: ")
    assert "none lost" in last
    assert "\x1b" not in done.stdout
    command_line.ends()


def test_a_reader_that_leaves_the_pipe_ends_a_recording_with_its_file(command_line: CommandLine) -> None:
    process = command_line.start("monitor", "record", "--bench", "bench.yaml", "--out", "t.parquet")
    assert process.stdout is not None
    assert process.stderr is not None
    for _ in range(3):
        process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(30) == 0
    process.communicate()
    assert Trace.read(command_line.folder / "t.parquet").samples.num_rows > 1000
    command_line.ends()


def interrupted(process: subprocess.Popen[str], lines: int) -> str:
    """Ctrl-C after so many lines; what it printed."""
    assert process.stdout is not None
    heard = "".join(process.stdout.readline() for _ in range(lines))
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert errors == ""
    return heard + rest


def test_ctrl_c_ends_a_stream_with_its_sums(command_line: CommandLine) -> None:
    out = interrupted(command_line.start("monitor", "stream", "--bench", "bench.yaml"), lines=3)
    assert "peak" in out.splitlines()[-1]
    command_line.ends()


def test_ctrl_c_ends_a_recording_with_its_files(command_line: CommandLine) -> None:
    process = command_line.start(
        "monitor", "record", "--bench", "bench.yaml", "--out", "t.parquet", "--csv", "--perfetto"
    )
    out = interrupted(process, lines=3)
    assert "trace: t.parquet" in out
    trace = Trace.read(command_line.folder / "t.parquet")
    assert trace.header.provenance == "virtual"
    assert trace.header.specimen["serial"] == "V0"
    assert trace.energy_j()[-1] > 0
    assert len((command_line.folder / "t.csv").read_text().splitlines()) == trace.samples.num_rows + 1
    chrome = json.loads((command_line.folder / "t.perfetto.json").read_text())
    assert "virtual" in chrome["traceEvents"][0]["args"]["name"]
    command_line.ends()


def test_a_recording_for_a_while_lasts_that_while(command_line: CommandLine) -> None:
    assert command_line.run("monitor", "record", "--bench", "bench.yaml", "--for", "1 s").returncode == 0
    (path,) = (command_line.folder / "traces").iterdir()
    time_ns = Trace.read(path).total["time_ns"].to_numpy()
    assert (time_ns[-1] - time_ns[0]) * 1e-9 == pytest.approx(1.0, abs=0.01)


def test_a_killed_recording_can_be_packed(command_line: CommandLine) -> None:
    process = command_line.start("monitor", "record", "--bench", "bench.yaml", "--out", "t.parquet")
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.communicate()
    packed = command_line.run("monitor", "export", "t.arrows", "--parquet")
    assert packed.returncode == 0, packed.stderr
    trace = Trace.read(command_line.folder / "t.parquet")
    assert trace.energy_j()[-1] > 0
    command_line.ends()


def test_a_meter_unplugged_leaves_what_was_recorded(command_line: CommandLine, meter: Callable[..., FarEnd]) -> None:
    bench = bench_at(command_line, meter("bridge", "--fault=unplug@+1.5"))
    done = command_line.run("monitor", "record", "--bench", bench, "--out", "t.parquet")
    assert done.returncode == 1
    assert "is gone" in done.stderr
    assert "what was recorded until then is in t.parquet" in done.stderr
    assert Trace.read(command_line.folder / "t.parquet").samples.num_rows > 1000


def checked(line: CommandLine, supply: SupplyWriter, bench: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A check with this test as the hands."""
    process = line.start("monitor", "check", "--bench", bench, "--load", "10", "--for", "1s", *more)
    assert process.stdout is not None
    assert process.stdin is not None
    assert "Take the board" in process.stdout.readline()
    process.stdin.write("\n")
    process.stdin.flush()
    assert "Connect the 10 Ohm resistor" in process.stdout.readline()
    supply.set(time.monotonic_ns(), VOLTS**2 / OHMS)
    process.stdin.write("\n")
    process.stdin.flush()
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, out, err)


WRONG = (f"--gain-error={GAIN}", f"--bus-gain-error={BUS_GAIN}", f"--offset-v={OFFSET_V}")
EXACT = ("--tolerance", "0.1%", "--supply-v", f"{VOLTS}", "--supply-tolerance", "0.05%")


def test_a_check_finds_the_gain_of_the_meter_and_later_readings_are_right(
    command_line: CommandLine, meter: Callable[..., FarEnd], supply: SupplyWriter
) -> None:
    bench = bench_at(command_line, meter("bridge", *WRONG))
    done = checked(command_line, supply, bench, *EXACT)
    assert done.returncode == 0, done.stderr
    assert "outside its maker's limit" in done.stdout
    (path,) = (command_line.folder / "data/testbed/calibrations/ina-bridge-B7").iterdir()
    record = json.loads(path.read_text())
    truth = (1 + GAIN) * (1 + BUS_GAIN) - 1
    assert record["gain_standard_uncertainty"] < 0.001
    assert record["gain"] == pytest.approx(truth, abs=2 * record["gain_standard_uncertainty"])
    offset_w = OFFSET_V * (1 + GAIN) / 0.02 * VOLTS
    assert record["offset_w"] == pytest.approx(offset_w, abs=4 * record["offset_standard_uncertainty_w"])

    said = command_line.run("monitor", "info", "--bench", bench).stdout
    assert f"ina-bridge B7, supply, checked {record['created'][:10]} against 10 Ohm" in said
    recording = command_line.run("monitor", "record", "--bench", bench, "--for", "1s", "--out", "t.parquet")
    assert recording.returncode == 0, recording.stderr
    trace = Trace.read(command_line.folder / "t.parquet")
    assert trace.total["power_w"].to_numpy().mean() == pytest.approx(VOLTS**2 / OHMS, rel=0.002)
    assert trace.header.calibrations[0].record["serial"] == "B7"


def test_another_resistor_than_stated_is_refused_and_nothing_kept(
    command_line: CommandLine, meter: Callable[..., FarEnd], supply: SupplyWriter
) -> None:
    done = checked(command_line, supply, bench_at(command_line, meter("bridge", "--gain-error=0.4")))
    assert done.returncode == 1
    assert "is this the resistor" in done.stderr
    assert not (command_line.folder / "data").exists()


def test_a_check_on_a_virtual_bench_needs_no_hands_and_runs_cite_it(command_line: CommandLine) -> None:
    check = ("monitor", "check", "--bench", "bench.yaml", "--load", "20 Ohm", "--for", "1s", "--tolerance")
    loose = command_line.run(*check, "5%")
    assert "not kept: the maker's limit tells the gain as well" in loose.stdout
    done = command_line.run(*check, "0.1%")
    assert done.returncode == 0, done.stderr
    assert "a virtual resistor of 20 Ohm" in done.stdout
    findings = json.loads(command_line.run("doctor", "--bench", "bench.yaml", "--json").stdout)["findings"]
    (cited,) = (finding for finding in findings if finding["what"] == "calibration")
    assert cited["verdict"] == "ok"
    assert "ina-bridge V0" in cited["detail"]
    command_line.ends()


def test_a_bench_without_a_monitor_is_told_how_to_get_one(command_line: CommandLine) -> None:
    command_line.write("bare.yaml", "\n".join(line for line in BENCH.splitlines() if "monitor" not in line))
    done = command_line.run("monitor", "stream", "--bench", "bare.yaml")
    assert done.returncode == 1
    assert "testbed monitor list" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("check", "--bench", "bench.yaml", "--load", "5V"), "'5V' is a voltage; a resistance is expected"),
        (("check", "--bench", "bench.yaml", "--load", "5", "--tolerance", "lots"), "write it like 1%"),
        (("check", "--bench", "bench.yaml", "--load", "5", "--tolerance", "90%"), "not between 0 and 50%"),
        (("check", "--bench", "bench.yaml", "--load", "5", "--channel", "x"), "no channel 'x': choose with --channel"),
        (("stream", "--bench", "bench.yaml", "--for", "0"), "'0' is not above 0"),
        (("record", "--bench", "bench.yaml", "--out", "t.csv"), "give a folder, or a file that ends in .parquet"),
        (("export", "t.parquet"), "say what to write"),
        (("export", "t.parquet", "--csv"), "there is no trace t.parquet"),
        (("info",), "give a bench (--bench BENCH), or serial ports"),
    ],
)
def test_wrong_arguments_get_one_clear_line(
    command_line: CommandLine, arguments: tuple[str, ...], complaint: str
) -> None:
    done = command_line.run("monitor", *arguments)
    assert done.returncode in (1, 2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
