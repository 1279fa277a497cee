"""A whole run with a replayed co-runner, a thermal band, time to cool down, and a policy that holds its frequencies."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from rich.console import Console

from results import Run
from testbed import experiment
from testbed.cli.progress import RunDisplay
from testbed.config import load_bench, load_suite
from testbed.errors import BenchError
from tests.testbed.whole.conftest import BENCH, CommandLine

SUITE = """
name: discipline
workloads: [{name: photo, model: mobilenet-v2, qos_s: 50 ms, inputs: 2}]
environments:
  - {name: player, co_runner: {replay: mine.csv, replay_step_s: 1 s, cores: [0, 1, 2, 3, 4, 5]}}
actions: [cpu/fp32@3, gpu/fp32@3]
policies:
  - {name: random, trials: 12, hold: block}
repetitions: 2
warmup_trials: 1
profile_trials: 1
guard_s: 12 ms
thermal: {band_c: [-20 C, -10 °C], wait_s: 1 ms, otherwise: tag}
cool_down_s: 10 ms
most_tagged: 50 %
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    line = CommandLine(tmp_path_factory.mktemp("discipline"))
    line.write("bench.yaml", BENCH)
    line.write("suite.yaml", SUITE)
    line.write("mine.csv", "# recorded by the tests, of nothing\ntime_s,cpu,memory\n0,0.1,0\n1,0.3,0.1\n")
    process = line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert process.returncode == 4, process.stderr
    line.output = process.stdout  # type: ignore[attr-defined]
    return line


def test_too_many_tagged_trials_fail_the_run_where_it_is_shown(done: CommandLine) -> None:
    assert "unhealthy: 12 of 12 trials tagged, 50% are taken (12 x started at … °C, outside" in done.output  # type: ignore[attr-defined]
    shown = done.run("show", str(done.run_folder()), "--json")
    assert shown.returncode == 4
    health = json.loads(shown.stdout)["health"]
    assert (health["tagged"], health["passed"]) == (12, False)
    assert "unhealthy: 12 of 12" in (done.run_folder() / "report.html").read_text()


def test_the_wait_its_temperatures_and_its_power_are_on_record(done: CommandLine) -> None:
    run = Run.read(done.run_folder())
    trials = [trial for trial in run.trials if trial.kind == "trial"]
    for trial in trials:
        wait = trial.observed["wait"]
        assert wait["waited_s"] > 0.0
        assert len(wait["time_ns"]) == len(wait["temperature_c"]) >= 2
        kept = run.samples_of(trial.index)["time_ns"].to_numpy()
        assert ((kept >= wait["time_ns"][0]) & (kept <= wait["time_ns"][-1])).any()
        assert trial.condition.strayed[0].startswith("started at ")
    first_of_block = [trial for trial in run.trials if trial.kind == "warmup" and trial.block > 0]
    assert [trial.observed["wait"]["cooled_s"] >= 0.01 for trial in first_of_block] == [True, True]


def test_the_recording_is_replayed_trial_by_trial_and_labelled_with_its_origin(done: CommandLine) -> None:
    run = Run.read(done.run_folder())
    loads = [trial.condition.asked["co_runner"] for trial in run.trials if trial.block == 1]
    assert {(load["cpu"], load["memory"]) for load in loads} == {(0.1, 0.0), (0.3, 0.1)}
    assert all(load["cores"] == [0, 1, 2, 3, 4, 5] for load in loads)
    assert all(before != after for before, after in pairwise(loads))
    assert any(label.endswith("mine.csv: recorded by the tests, of nothing") for label in run.header.labels)
    # Of half the virtual board's twelve cores, so half of it.
    busy = [t.state["co_cpu"] for t in run.trials if t.condition.asked["co_runner"]["cpu"] == 0.3]
    assert sum(busy) / len(busy) == pytest.approx(0.15, abs=0.02)


def test_a_policy_that_holds_keeps_each_processor_at_its_first_frequency_of_a_block(done: CommandLine) -> None:
    trials = [trial for trial in Run.read(done.run_folder()).trials if trial.kind == "trial"]
    held = {(t.block, t.action.target): set() for t in trials if t.action}
    for trial in trials:
        held[trial.block, trial.action.target].add(trial.action.frequency_hz)
    assert all(len(frequencies) == 1 for frequencies in held.values())


def test_a_change_of_clocks_has_its_cost_on_record(done: CommandLine) -> None:
    run = Run.read(done.run_folder())
    switched = [trial.observed for trial in run.trials if trial.observed["switch_s"] is not None]
    assert 4 <= len(switched) < len(run.trials)
    for observed in switched:
        mean_power_w = observed["switch_energy_j"] / observed["switch_s"]
        assert 5.0 < mean_power_w < 60.0
        assert 0.0 < observed["switch_standard_uncertainty_j"] < observed["switch_energy_j"]
    assert all(t.observed["switch_energy_j"] is None for t in run.trials if t.observed["switch_s"] is None)


def test_a_program_beside_a_virtual_board_is_refused_before_anything_is_measured(done: CommandLine) -> None:
    done.write("refused.yaml", SUITE.replace("replay: mine.csv, replay_step_s: 1 s", "command: [sleep, '10']"))
    refused = done.run("run", "refused.yaml", "--bench", "bench.yaml", "--out", "refused")
    assert refused.returncode == 1
    assert "environment 'player': 'sleep' would load this host and not the virtual board" in refused.stderr
    assert not (done.folder / "refused").exists()


def test_the_clairvoyant_cannot_hold(done: CommandLine) -> None:
    done.write("opt.yaml", SUITE.replace("name: random", "name: opt"))
    bench = load_bench(done.folder / "bench.yaml")
    with pytest.raises(BenchError, match="policy 'opt' picks the best of every moment: it cannot hold"):
        experiment.start(bench, load_suite(done.folder / "opt.yaml"), 1, done.folder, RunDisplay(Console()))
