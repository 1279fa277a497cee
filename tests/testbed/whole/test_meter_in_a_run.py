"""The meter in a whole run: marks placed each way, and a meter that fails on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from results import Run
from tests.testbed.whole.conftest import CommandLine, follow

BENCH = """
name: bench
board: {kind: virtual, profile: raspberry-pi-5, supply_voltage_v: 5.1 V, MARKER}
monitor: MONITOR
MARKS
"""
BRIDGE = "{kind: ina-bridge, port: emulated, sensor: ina226, shunt_ohm: 15 mOhm, supply_voltage_v: 5.1 V, FAULTS}"
MONSOON = (
    "{kind: monsoon-lvpm, port: emulated, channel: aux, supply_voltage_v: 5.1 V, delivery_latency_s: 12 ms, FAULTS}"
)
SUITE = """
name: suite
workloads:
  - {name: photo, model: mobilenet-v2, qos_s: 50 ms, inputs: 3}
environments: [S1, S2]
actions: [cpu/fp32@max, cpu/int8@max]
policies:
  - {name: edge-cpu-fp32, trials: 14}
repetitions: 1
warmup_trials: 1
profile_trials: 1
guard_s: 12 ms
"""


def prepare(line: CommandLine, monitor: str, marks: str = "", faults: str = "[]", *, marker: bool = True) -> None:
    text = BENCH.replace("MARKER", f"marker: {str(marker).lower()}").replace("MONITOR", monitor)
    line.write("bench.yaml", text.replace("MARKS", marks).replace("FAULTS", f"faults: {faults}"))
    line.write("suite.yaml", SUITE)


def check_energies(run: Run) -> None:
    errors = [
        (trial.energy.energy_j - trial.truth_energy_j) / trial.energy.standard_uncertainty_j
        for trial in run.trials
        if trial.energy and trial.truth_energy_j
    ]
    assert len(errors) == len(run.plan)
    assert np.max(np.abs(errors)) < 4


@pytest.mark.parametrize(
    ("monitor", "marks", "marker", "method"),
    [
        (BRIDGE, "", True, "line"),
        (BRIDGE, "", False, "pulse"),
        (BRIDGE, "marks: clock", True, "clock"),
    ],
)
def test_marks_are_placed_as_the_bench_asks_or_the_best_way_it_has(
    command_line: CommandLine, monitor: str, marks: str, marker: bool, method: str
) -> None:
    prepare(command_line, monitor, marks, marker=marker)
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 0, done.stderr
    run = Run.read(command_line.run_folder())
    check_energies(run)
    assert [(block.block, block.phase) for block in run.blocks] == [
        (block, phase) for block in range(3) for phase in ("begin", "end")
    ]
    ends = [block.marks for block in run.blocks if block.phase == "end"]
    assert {marks.method for marks in ends} == {method}
    board = [block.clocks["board"] for block in run.blocks if block.phase == "end"]
    for marks, clock in zip(ends, board, strict=True):
        # A wire or a burst corrects what the host's clocks leave open; how much that is depends on the machine's load.
        assert (marks.fit.offset_ns == clock.offset_ns) == (method == "clock")


def test_a_run_with_pulses_is_resumed(command_line: CommandLine) -> None:
    prepare(command_line, BRIDGE, "marks: pulse")
    process = command_line.start("run", "suite.yaml", "--bench", "bench.yaml")
    assert process.stdout is not None
    folder = next(text for text in process.stdout if text.startswith("run folder: ")).split()[-1]
    follow(command_line.folder / folder / "trials.jsonl", 8)
    process.kill()
    process.communicate()
    command_line.ends()
    resumed = command_line.run("run", "--resume", folder)
    assert resumed.returncode == 0, resumed.stderr
    run = Run.read(command_line.folder / Path(folder))
    check_energies(run)
    assert all(block.marks is not None and block.marks.method == "pulse" for block in run.blocks)
    entered = [block.block for block in run.blocks if block.phase == "begin"]
    assert len(entered) == len(set(entered)) + 1, "the block that broke off was entered again, with a pulse of its own"


def test_a_cable_that_is_pulled_and_put_back_costs_the_trial_an_attempt_and_no_more(command_line: CommandLine) -> None:
    prepare(command_line, BRIDGE, "marks: pulse", '["unplug@+1.6:0.5"]')
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 0, done.stderr
    run = Run.read(command_line.run_folder())
    assert run.complete
    check_energies(run)
    notes = [trial.note for trial in run.trials if trial.note]
    assert notes
    assert all("made again after attempt 1: " in note for note in notes)
    assert {block.marks.method for block in run.blocks if block.marks} == {"pulse"}


def test_a_cable_that_stays_pulled_stops_the_run_with_one_message(command_line: CommandLine) -> None:
    prepare(command_line, BRIDGE, "", '["unplug@+1.6"]')
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "look at the meter's cable and supply" in done.stderr
    assert "Go on with: testbed run --resume" in done.stderr
    assert len(Run.read(command_line.run_folder()).trials) > 0
    command_line.ends()


def test_an_output_that_trips_stops_the_run_and_says_why(command_line: CommandLine) -> None:
    prepare(command_line, MONSOON, "", '["trip@+1.6"]')
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "switched its output off: over-current or heat" in done.stderr
    assert "Go on with: testbed run --resume" in done.stderr
    command_line.ends()


@pytest.mark.parametrize(
    ("monitor", "marks", "marker", "words"),
    [
        (BRIDGE, "marks: line", False, "marks: line needs a wire from the board to the meter"),
        (
            BRIDGE.replace("shunt_ohm", "conversion_s: 8.244 ms, averages: 16, shunt_ohm"),
            "marks: pulse",
            False,
            "is too slow for a sync pulse",
        ),
    ],
)
def test_marks_the_bench_cannot_have_are_refused_before_a_run_folder_is_made(
    command_line: CommandLine, monitor: str, marks: str, marker: bool, words: str
) -> None:
    prepare(command_line, monitor, marks, marker=marker)
    command_line.write("suite.yaml", SUITE.replace("guard_s: 12 ms", "guard_s: 600 ms"))
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 1
    assert words in done.stderr
    assert not (command_line.folder / "runs").exists()
    command_line.ends()
