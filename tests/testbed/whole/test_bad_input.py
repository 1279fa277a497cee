"""Whatever is wrong, the person reads one message that names it and the cure, and nothing is left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
from pathlib import Path

import pytest
from serial import Serial

from tests.testbed.whole.conftest import BENCH, SUITE, CommandLine

REAL = """
name: real
board: {kind: linux, model: raspberry-pi-5, supply_voltage_v: 5.1 V}
monitor: {kind: ina-bridge, port: PORT, sensor: ina226, shunt_ohm: 15 mOhm, supply_voltage_v: 5.1 V}
"""
LINUX_SUITE = (
    SUITE.replace("cpu/fp32@max, gpu/fp32@max, cloud/fp32", "cpu/fp32")
    .replace("reference: {action: gpu/fp32@max, every: 8}", "")
    .replace("  - {name: opt, trials: 3}\n", "")
    .replace("  - {name: cloud, trials: 1}\n", "")
    .replace("[S1, S4]", "[S1]")
)


def complaint(line: CommandLine, *arguments: str) -> str:
    done = line.within(*arguments)
    assert done.returncode not in (0, 130), done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    assert not (line.folder / "runs").exists() or not any((line.folder / "runs").iterdir())
    line.ends()
    return done.stderr


@pytest.mark.parametrize(
    ("bench", "suite", "message"),
    [
        (BENCH.replace("shunt_ohm", "shunt_omh"), SUITE, "monitor.shunt_omh: unknown key; did you mean 'shunt_ohm'?"),
        (BENCH, SUITE.replace("50 ms", "50 mV"), "'50 mV' is a voltage; a time is expected"),
        (BENCH, SUITE.replace("gpu/fp32@max", "npu/fp32@max"), "has no target 'npu'; did you mean 'gpu'?"),
        (BENCH, SUITE.replace("mobilenet-v2", "mobilenet-v9"), "did you mean 'mobilenet-v3'?"),
        (BENCH, SUITE.replace("mobilenet-v2", "{files: {fp32: gone.onnx}, accuracy: {fp32: 1}}"), "gone.onnx"),
        (
            BENCH,
            SUITE.replace("edge-best", "edge-bets"),
            "policy 'edge-bets' does not exist; did you mean 'edge-best'?",
        ),
        (BENCH, SUITE.replace("[S1, S4]", "[S1, S9]"), "environment 'S9' is unknown"),
        (BENCH.replace("15 mOhm", "150 mOhm"), SUITE, "take at most"),
        (
            BENCH.replace("supply_voltage_v: 15 V}\nmon", "supply_voltage_v: 5 V}\nmon"),
            SUITE,
            "outside the board's input range",
        ),
        (BENCH.replace("link: {kind: virtual, by: model}\n", ""), SUITE, "environment 'S4' asks for a signal"),
        (BENCH, SUITE + "window_s: 1 ms\n", "window_s of 1 ms is too short"),
        (BENCH, SUITE.replace("trials: 8}", "trials: 8, options: {reward: nope}}"), "reward 'nope' does not exist"),
        (BENCH, SUITE.replace("qos_s: 50 ms", "qos_s: .inf"), "finite number"),
        (
            REAL.replace("monitor", "#"),
            LINUX_SUITE,
            "policy 'edge-best' decides by energy, and bench 'real' has no monitor",
        ),
        (REAL.replace("PORT", "/dev/ttyNOSUCH"), LINUX_SUITE, "/dev/ttyNOSUCH"),
    ],
)
def test_a_mistake_is_named_with_its_cure(command_line: CommandLine, bench: str, suite: str, message: str) -> None:
    command_line.write("bench.yaml", bench)
    command_line.write("suite.yaml", suite)
    assert message in " ".join(complaint(command_line, "run", "suite.yaml", "--bench", "bench.yaml").split())


def test_a_port_that_another_process_holds_is_named(command_line: CommandLine) -> None:
    master, slave = pty.openpty()
    try:
        with Serial(os.ttyname(slave), exclusive=True) as held:
            command_line.write("bench.yaml", REAL.replace("PORT", str(held.port)))
            command_line.write("suite.yaml", LINUX_SUITE)
            message = complaint(command_line, "run", "suite.yaml", "--bench", "bench.yaml")
            assert str(held.port) in message
            assert "another process" in message
    finally:
        os.close(master)
        os.close(slave)


def test_an_lvpm_on_main_cannot_feed_a_jetson(command_line: CommandLine) -> None:
    lvpm = "{kind: monsoon-lvpm, port: emulated, channel: main, supply_voltage_v: 15 V, delivery_latency_s: 11 ms}"
    command_line.write("bench.yaml", re.sub(r"monitor: .*", f"monitor: {lvpm}", BENCH))
    done = command_line.run("doctor", "--bench", "bench.yaml", "--json")
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    assert any(f["verdict"] == "wrong" and "Main output gives 2.01-4.55 V" in f["detail"] for f in findings)


def test_a_healthy_bench_passes_the_doctor(command_line: CommandLine) -> None:
    done = command_line.run("doctor", "--bench", "bench.yaml", "--json")
    assert done.returncode == 0, done.stdout
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert {"wiring", "agent", "board clock", "monitor", "power", "meter clock"} <= set(findings)
    command_line.ends()


def test_a_folder_that_is_no_run_is_refused(command_line: CommandLine) -> None:
    (command_line.folder / "empty").mkdir()
    for arguments in (("show", "empty"), ("report", "empty"), ("run", "--resume", "empty")):
        assert "is not a run" in complaint(command_line, *arguments)


def test_a_complete_run_has_nothing_to_resume(finished: CommandLine) -> None:
    done = finished.run("run", "--resume", str(finished.run_folder()))
    assert done.returncode == 1
    assert "nothing to resume" in done.stderr


def test_a_half_written_run_is_shown_and_not_doubled(finished: CommandLine, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(finished.run_folder(), half)
    (half / "complete.json").unlink()
    (half / "samples.parquet").unlink()
    text = (half / "trials.jsonl").read_bytes()
    (half / "trials.jsonl").write_bytes(text[: len(text) // 2])
    shown = finished.run("show", str(half), "--json")
    assert shown.returncode == 0, shown.stderr
    summary = json.loads(shown.stdout)
    assert 0 < summary["trials"] < summary["planned"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("run",),
        ("run", "suite.yaml"),
        ("run", "suite.yaml", "--resume", "x"),
        ("show",),
        ("schema", "soup"),
        ("dance",),
    ],
)
def test_wrong_arguments_explain_the_usage(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    done = command_line.within(*arguments)
    assert done.returncode == 2
    assert "Usage" in done.stderr


@pytest.mark.parametrize("of", ["bench", "suite", "arena"])
def test_the_schema_is_json_and_closed(command_line: CommandLine, of: str) -> None:
    schema = json.loads(command_line.within("schema", of).stdout)
    assert schema["additionalProperties"] is False
    assert "name" in schema["properties"]


def test_a_suite_that_stays_on_the_board_needs_no_server(command_line: CommandLine) -> None:
    suite = SUITE.replace(", cloud/fp32", "").replace("  - {name: cloud, trials: 1}\n", "").replace("[S1, S4]", "[S1]")
    command_line.write("suite.yaml", suite)
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 0, done.stderr
