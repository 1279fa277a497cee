"""A whole run on the virtual bench: what it leaves, how right it is, and that a broken-off one is finished."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from power import BridgeInput, InaBridge, Samples, cut
from results import Run
from tests.testbed.whole.conftest import BENCH, SUITE, CommandLine, follow


def test_every_planned_trial_is_there_once_and_in_order(finished: CommandLine) -> None:
    run = Run.read(finished.run_folder())
    assert run.complete
    assert [trial.index for trial in run.trials] == list(range(len(run.plan)))
    cells = Counter((t.environment, t.policy) for t in run.trials if t.kind == "trial")
    assert cells["S1", "autoscale"] == cells["S4", "autoscale"] == 8


def test_measured_energy_agrees_with_the_truth_of_the_virtual_board(finished: CommandLine) -> None:
    trials = [t for t in Run.read(finished.run_folder()).trials if t.energy and t.outcome == "ok"]
    assert len(trials) > 20
    errors = np.array([(t.energy.energy_j - t.truth_energy_j) / t.energy.standard_uncertainty_j for t in trials])
    assert np.mean(np.abs(errors) < 2.5) > 0.85
    assert all(trial.energy.present > 0.9 for trial in trials)


def test_the_calibration_that_corrected_the_readings_is_on_record(finished: CommandLine) -> None:
    run = Run.read(finished.run_folder())
    (calibration,) = run.header.calibrations
    assert calibration.record["serial"] == "V5"
    assert calibration.says in (run.path / "report.html").read_text()


def test_a_finished_trial_can_be_cut_again_from_its_trace(finished: CommandLine) -> None:
    """Same samples, same marks, same energy: nothing went into the figure that is not on record."""
    run = Run.read(finished.run_folder())
    nominal = InaBridge("unopened", BridgeInput(shunt_ohm=0.015, supply_v=15.0, sensor="ina226", bus_divisor=16)).spec
    spec = replace(nominal, shortest_window_s=0.0)  # the run knew the true rate, and what was long enough for it
    guard_s = run.header.suite["guard_s"]
    trial = next(t for t in run.trials if t.kind == "trial" and t.action.target == "cpu" and t.energy)
    table = run.samples_between(trial.start_ns - 50_000_000, trial.end_ns + 50_000_000)
    samples = Samples(
        index=table["index"].to_numpy(),
        time_ns=table["time_ns"].to_numpy(),
        channel=table["channel"].to_numpy(),
        power_w=table["power_w"].to_numpy(),
        voltage_v=table["voltage_v"].to_numpy(),
        current_a=table["current_a"].to_numpy(),
    )
    again = cut(samples, trial.start_ns, trial.end_ns, spec, pad_s=guard_s / 3, guard_s=guard_s)
    assert again.energy_j == pytest.approx(trial.energy.window_energy_j, rel=1e-3)
    assert again.baseline_power_w == pytest.approx(trial.energy.baseline_power_w, rel=1e-3)


def test_requested_and_observed_state_are_both_on_record(finished: CommandLine) -> None:
    run = Run.read(finished.run_folder())
    by_environment = {trial.environment: trial for trial in run.trials if trial.kind == "trial"}
    weak = by_environment["S4"].condition
    assert weak.asked["link"]["rssi_dbm"] == weak.applied["link"]["rssi_dbm"] == -82.0
    assert by_environment["S1"].condition.applied["link"]["rssi_dbm"] == -58.0
    cpu = next(trial for trial in run.trials if trial.action.target == "cpu")
    assert cpu.observed["frequency_hz"] == cpu.action.frequency_hz
    assert all(set(block.clocks) == {"board", "monitor"} for block in run.blocks)
    assert {block.marks.method for block in run.blocks if block.marks} == {"line"}, (
        "the virtual board's marker is wired"
    )


def test_it_is_labelled_virtual_on_screen_in_the_record_and_in_the_report(finished: CommandLine) -> None:
    assert "virtual bench" in finished.output  # type: ignore[attr-defined]
    shown = finished.run("show", str(finished.run_folder()), "--json")
    assert json.loads(shown.stdout)["provenance"] == "virtual"
    assert (finished.run_folder() / "report.html").read_text().count("virtual bench") > 3


def test_a_weak_signal_makes_the_cloud_slower_than_a_regular_one(finished: CommandLine) -> None:
    trials = [t for t in Run.read(finished.run_folder()).trials if t.policy == "cloud"]
    latency = {t.environment: t.latencies_s[0] for t in trials}
    assert latency["S4"] > 4 * latency["S1"]


def test_nothing_is_left_running(finished: CommandLine) -> None:
    finished.ends()


@pytest.mark.parametrize("after", [4, 17])
def test_a_killed_run_is_resumed_without_a_trial_lost_or_doubled(command_line: CommandLine, after: int) -> None:
    process = command_line.start("run", "suite.yaml", "--bench", "bench.yaml")
    assert process.stdout is not None
    folder = Path(_run_folder_line(process))
    trials = command_line.folder / folder / "trials.jsonl"
    follow(trials, after)
    process.kill()
    process.communicate()
    command_line.ends()
    kept = trials.read_bytes().rpartition(b"\n")[0] + b"\n"

    resumed = command_line.run("run", "--resume", str(folder))

    assert resumed.returncode == 0, resumed.stderr
    run = Run.read(command_line.folder / folder)
    assert trials.read_bytes().startswith(kept)
    assert [trial.index for trial in run.trials] == list(range(len(run.plan)))
    assert all(len(run.samples_of(trial.index)) > 0 for trial in run.trials)
    command_line.ends()


CLAIRVOYANT = """
name: clairvoyant
workloads:
  - {name: photo, model: mobilenet-v2, qos_s: 50 ms, inputs: 1}
environments: [S2, S1]
actions: [gpu/fp32@612MHz, gpu/fp32@max]
policies: [{name: opt, trials: 4}]
repetitions: 1
warmup_trials: 1
profile_trials: 1
guard_s: 12 ms
"""


def test_what_a_clairvoyant_decided_beside_a_co_runner_does_not_stop_a_resume(command_line: CommandLine) -> None:
    command_line.write("clairvoyant.yaml", CLAIRVOYANT)
    command_line.write("no-cloud.yaml", "\n".join(line for line in BENCH.splitlines() if "cloud" not in line))
    process = command_line.start("run", "clairvoyant.yaml", "--bench", "no-cloud.yaml")
    folder = command_line.folder / _run_folder_line(process)
    follow(folder / "trials.jsonl", len((folder / "plan.jsonl").read_text().splitlines()) - 1)
    process.kill()
    process.communicate()
    command_line.ends()
    decided = {str(trial.action) for trial in Run.read(folder).trials if trial.policy == "opt"}
    assert len(decided) == 2, "beside the co-runner another clock must have been best"

    resumed = command_line.run("run", "--resume", str(folder))

    assert resumed.returncode == 0, resumed.stderr
    assert Run.read(folder).complete


def _run_folder_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("run folder: "):
            return line.removeprefix("run folder: ").strip()
    raise AssertionError(f"no run folder was named; stderr: {process.stderr.read() if process.stderr else ''}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_leaves_nothing_behind(
    command_line: CommandLine, number: signal.Signals
) -> None:
    process = command_line.start("run", "suite.yaml", "--bench", "bench.yaml")
    folder = _run_folder_line(process)
    follow(command_line.folder / folder / "trials.jsonl", 5)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"Go on with: testbed run --resume {folder}" in err
    assert "Traceback" not in err
    command_line.ends()


def test_a_board_that_dies_stops_the_run_with_one_message_and_can_be_resumed(command_line: CommandLine) -> None:
    command_line.write("bench.yaml", BENCH.replace("kind: virtual, p", "kind: virtual, agent: {reconnect_s: 0}, p"))
    process = command_line.start("run", "suite.yaml", "--bench", "bench.yaml")
    folder = _run_folder_line(process)
    follow(command_line.folder / folder / "trials.jsonl", 5)
    command_line.kill("exec(eval(sys.stdin")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the board's agent ended" in err
    assert "Traceback" not in err
    command_line.ends()
    assert command_line.run("run", "--resume", folder).returncode == 0


def test_a_server_of_its_own_that_dies_stops_the_run(command_line: CommandLine) -> None:
    command_line.write("suite.yaml", SUITE.replace("cloud, trials: 1", "cloud, trials: 20"))
    process = command_line.start("run", "suite.yaml", "--bench", "bench.yaml")
    folder = _run_folder_line(process)
    follow(command_line.folder / folder / "trials.jsonl", 10)
    command_line.kill("testbed.virtual.cloud")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "testbed.virtual.cloud ended by itself" in err
    assert "Go on with: testbed run --resume" in err
    assert all(trial.outcome == "ok" for trial in Run.read(command_line.folder / folder).trials)


def test_a_full_disk_stops_the_run_with_one_message_and_keeps_what_was_durable(command_line: CommandLine) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    small = command_line.folder / "runs"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    try:
        done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "space" in done.stderr
        run = Run.read(command_line.run_folder())
        assert [trial.index for trial in run.trials] == list(range(len(run.trials)))
        assert len(run.trials) > 0
    finally:
        subprocess.run(["umount", str(small)], check=True)
    command_line.ends()


def test_a_cloud_that_dies_is_a_recorded_outcome(command_line: CommandLine) -> None:
    from testbed.farend import start_far_end
    from testbed.models import zoo

    model = zoo.prepare("mobilenet-v2", ["fp32"])
    arguments = [f"--model=mobilenet-v2-fp32={model.files['fp32']}", f"--macs=mobilenet-v2-fp32={model.counts.macs}"]
    with start_far_end("testbed.virtual.cloud", [*arguments, "--fault=die", "--after=12"]) as server:
        bench = (
            (command_line.folder / "bench.yaml")
            .read_text()
            .replace("serve: virtual-gpu", f"url: '{server.ready['url']}'")
        )
        command_line.write("bench.yaml", bench)
        command_line.write(
            "suite.yaml", SUITE.replace("[S1, S4]", "[S1]").replace("cloud, trials: 1", "cloud, trials: 12")
        )
        done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 0, done.stderr
    cloud = [t for t in Run.read(command_line.run_folder()).trials if t.policy == "cloud"]
    outcomes = {trial.outcome for trial in cloud}
    assert outcomes == {"ok", "failed"}
    assert all(trial.note for trial in cloud if trial.outcome == "failed")
