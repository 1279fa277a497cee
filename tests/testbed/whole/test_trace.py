"""A suite that replays a trace, on a bench that probes the path."""

from __future__ import annotations

from results import Run
from tests.testbed.whole.conftest import BENCH, SUITE, CommandLine

TRACE = "time,rate,rssi\n0,20 Mbit/s,-60\n1,8 Mbit/s,-66\n2,2 Mbit/s,-78\n"
BUS = "{name: bus, trace: bus.csv, trace_step_s: 1 s}"
TRACED = (
    SUITE.replace("[S1, S4]", f"[{BUS}]")
    .replace("reference: {action: gpu/fp32@max, every: 8}\n", "")
    .replace("  - {name: edge-best, trials: 2}\n  - {name: opt, trials: 3}\n", "")
    .replace("  - {name: autoscale, trials: 8}\n", "")
)


def test_each_trial_is_made_under_its_place_in_the_trace_and_the_path_is_looked_at(command_line: CommandLine) -> None:
    command_line.write("bench.yaml", BENCH.replace("by: model", "by: model, probe: true"))
    command_line.write("suite.yaml", TRACED)
    command_line.write("bus.csv", TRACE)
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 0, done.stderr
    trials = Run.read(command_line.run_folder()).trials
    asked = [trial.condition.asked["link"] for trial in trials]
    # The profile's trials, then those of the block: the trace goes on from one to the next, and begins anew.
    assert [link["rate_up_bps"] for link in asked] == [(20e6, 8e6, 2e6)[i % 3] for i in range(len(trials))]
    assert all(link["source"].startswith("bus.csv: rate_up_bps, rate_down_bps as given") for link in asked)
    for trial in trials:
        assert trial.condition.applied["link"]["time_ns"] < trial.start_ns
        assert trial.condition.observed["rssi_dbm"] == trial.observed["rssi_dbm"]
        assert trial.condition.observed["link"]["up_bytes"] == trial.condition.asked["link"]["rate_up_bps"] / 80
        assert trial.radio_penalty_j is None  # the virtual board's radio is at the signal itself


def test_a_trace_that_cannot_be_read_is_told_before_anything_runs(command_line: CommandLine) -> None:
    command_line.write("suite.yaml", TRACED)
    command_line.write("bus.csv", TRACE.replace("-66", "nan"))
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 1
    assert "bus.csv:3: rssi: 'nan' is not a number" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (command_line.folder / "runs").exists()
