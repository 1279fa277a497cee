"""A whole run on a virtual board at the end of SSH, whose connection is cut in the middle of a trial."""

from __future__ import annotations

import json

import numpy as np

from results import Run
from testbed.config.plugins import Agent
from tests.testbed.conftest import Way
from tests.testbed.whole.conftest import BENCH, SUITE, CommandLine

CUT_AT = 12
SHORT = (
    SUITE.replace("[S1, S4]", "[S2]")
    .replace("  - {name: opt, trials: 3}\n  - {name: cloud, trials: 1}\n", "")
    .replace("trials: 8", "trials: 5")
    .replace("cloud/fp32]", "gpu/fp32@612MHz]")
)


def test_the_run_is_completed_with_one_trial_lost(command_line: CommandLine, ssh: Agent, way: Way) -> None:
    agent = f"{{via: '{ssh.via}', python: {ssh.python}, ssh_config: {ssh.ssh_config}, reconnect_s: 30 s}}"
    without_cloud = "\n".join(line for line in BENCH.splitlines() if "cloud" not in line)
    command_line.write("bench.yaml", without_cloud.replace("kind: virtual, p", f"kind: virtual, agent: {agent}, p"))
    command_line.write("suite.yaml", SHORT)
    way.cut_at(CUT_AT + 1)
    done = command_line.run("run", "suite.yaml", "--bench", "bench.yaml")
    assert done.returncode == 0, done.stderr
    assert "the board was lost: the board's agent ended during 'trial'; waiting up to 30 s for it" in " ".join(
        done.stderr.split()
    )
    run = Run.read(command_line.run_folder())
    assert run.complete
    assert [trial.index for trial in run.trials] == list(range(len(run.plan)))
    assert [trial.index for trial in run.trials if trial.outcome == "lost"] == [CUT_AT]
    lost = run.trials[CUT_AT]
    assert lost.energy is None

    # What was in force is in force again, and the clocks were mapped anew: the energies are as right as before.
    after = run.trials[CUT_AT + 1]
    assert after.condition.applied["co_runner"] == run.trials[CUT_AT - 1].condition.applied["co_runner"]
    again = [block for block in run.blocks if block.block == lost.block and block.phase == "begin"]
    assert len(again) == 2
    assert again[1].start_ns > lost.end_ns
    assert all(trial.observed["frequency_hz"] == trial.action.frequency_hz for trial in run.trials if trial.action)
    errors = [
        (trial.energy.energy_j - trial.truth_energy_j) / trial.energy.standard_uncertainty_j
        for trial in run.trials[CUT_AT:]
        if trial.energy and trial.truth_energy_j
    ]
    assert len(errors) == len(run.plan) - CUT_AT - 1
    assert np.max(np.abs(errors)) < 4

    shown = command_line.run("show", str(command_line.run_folder()))
    assert f"trial {CUT_AT} was lost: the board's agent ended during 'trial'; back after" in " ".join(
        shown.stdout.split()
    )
    told = json.loads(command_line.run("show", str(command_line.run_folder()), "--json").stdout)
    assert told["lost"] == [{"trial": CUT_AT, "note": lost.note}]
    assert told["trials"] == told["planned"]
    command_line.ends()
