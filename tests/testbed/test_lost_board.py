"""A run whose board goes away, hangs or comes back late, behind a real SSH server on loopback."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from results import Run, RunStore, TrialRecord
from testbed import experiment
from testbed.config import Bench, Suite, bench_schema
from testbed.config.plugins import Agent
from testbed.errors import BenchError
from testbed.meter import Meter
from testbed.plan import PlannedTrial
from testbed.remote import BoardLost, RemoteAgent
from tests.testbed.conftest import Way, board_agents

TRIALS = 10
"""of which two come before the policy's"""
HIT = 5
"""the trial that something befalls"""


class Onlooker:
    """Does something when a trial is about to begin."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self._at, self._act = at, act
        self.recorded: list[TrialRecord] = []

    def step(self, text: str) -> None: ...

    def run_begins(self, store: RunStore, meter: Meter | None) -> None: ...

    def waits(self, text: str) -> None: ...

    def trial_begins(self, planned: PlannedTrial) -> None:
        if planned.index == self._at:
            self._act()

    def trial_done(self, trial: TrialRecord) -> None:
        self.recorded.append(trial)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])
    weights = numpy_helper.from_array(np.ones((3, 4), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    return Suite.model_validate(
        {
            "name": "suite",
            "workloads": [
                {
                    "name": "product",
                    "model": {"files": {"fp32": str(tmp_path / "m.onnx")}, "accuracy": {"fp32": 1.0}},
                    "qos_s": 1.0,
                    "inputs": 1,
                }
            ],
            "environments": ["S1"],
            "actions": ["cpu/fp32"],
            "policies": [{"name": "random", "trials": TRIALS - 2}],
            "repetitions": 1,
            "profile_trials": 1,
            "warmup_trials": 0,
        }
    )


def bench_over(ssh: Agent, switch: dict[str, object] | None = None, **agent: float) -> Bench:
    board = {"kind": "linux", "threads": 1, "supply_voltage_v": 5.0, "power": switch}
    through = {**ssh.model_dump(mode="json"), "reconnect_s": 20.0, **agent}
    return bench_schema().model_validate({"name": "bench", "board": {**board, "agent": through}})


def one_lost(run: Run, *reasons: str) -> None:
    """Every trial is there; that which was hit is lost, says why, and claims nothing."""
    assert [trial.index for trial in run.trials] == list(range(TRIALS))
    assert run.complete
    assert {trial.index: trial.outcome for trial in run.trials if trial.outcome != "ok"} == {HIT: "lost"}
    lost = run.trials[HIT]
    assert all(reason in lost.note for reason in reasons), lost.note
    assert (lost.action, lost.energy, lost.estimated_energy_j, lost.learnt, lost.n) == (None, None, None, None, 0)


def kill(tmp_path: Path, number: signal.Signals) -> None:
    (agent,) = board_agents(tmp_path)
    os.kill(agent, number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_agent_that_is_killed_costs_one_trial(
    tmp_path: Path, ssh: Agent, suite: Suite, number: signal.Signals
) -> None:
    onlooker = Onlooker(HIT, lambda: kill(tmp_path, number))
    folder = experiment.start(bench_over(ssh), suite, 1, tmp_path / "runs", onlooker)
    run = Run.read(folder)
    one_lost(run, "the board's agent ended", "'trial'", "; back after")
    assert [(block.block, block.phase) for block in run.blocks] == [(0, "begin"), (1, "begin"), (1, "begin")]
    assert not board_agents(tmp_path)


def test_a_board_that_is_lost_between_two_trials_costs_none(tmp_path: Path, ssh: Agent, suite: Suite) -> None:
    begins_a_block = 2
    onlooker = Onlooker(begins_a_block, lambda: kill(tmp_path, signal.SIGKILL))
    run = Run.read(experiment.start(bench_over(ssh), suite, 1, tmp_path / "runs", onlooker))
    assert [trial.outcome for trial in run.trials] == ["ok"] * TRIALS
    notes = {trial.index: trial.note for trial in run.trials if trial.note}
    assert list(notes) == [begins_a_block]
    assert notes[begins_a_block].startswith("before it: the board's agent ended ")


def test_a_connection_that_is_cut_and_refused_costs_one_trial_and_ends_the_agent_that_outlived_it(
    tmp_path: Path, ssh: Agent, suite: Suite, way: Way
) -> None:
    way.cut_at(HIT + 1)
    onlooker = Onlooker(HIT, lambda: way.refuse(2))
    folder = experiment.start(bench_over(ssh), suite, 1, tmp_path / "runs", onlooker)
    one_lost(Run.read(folder), "ended during 'trial'; back after")
    assert len(way.calls()) == 1 + 2 + 2  # the agent; two refused; the way is there, the agent again
    assert not board_agents(tmp_path)


def test_an_agent_that_hangs_is_replaced(tmp_path: Path, ssh: Agent, suite: Suite) -> None:
    onlooker = Onlooker(HIT, lambda: kill(tmp_path, signal.SIGSTOP))
    folder = experiment.start(bench_over(ssh, answer_s=2.0), suite, 1, tmp_path / "runs", onlooker)
    one_lost(Run.read(folder), "did not answer 'trial' within 2 s; back after")
    assert not board_agents(tmp_path)


def test_a_board_that_stays_away_stops_the_run_which_can_be_resumed(
    tmp_path: Path, ssh: Agent, suite: Suite, way: Way
) -> None:
    def vanish() -> None:
        way.refuse(1_000_000)
        kill(tmp_path, signal.SIGKILL)

    bench = bench_over(ssh, reconnect_s=0.3)
    with pytest.raises(BenchError, match=r"did not come back within 0\.3 s .*Connection refused.*resume the run"):
        experiment.start(bench, suite, 1, tmp_path / "runs", Onlooker(HIT, vanish))
    (folder,) = (tmp_path / "runs").iterdir()
    assert len(Run.read(folder).trials) == HIT
    way.refuse(0)
    experiment.resume(folder, Onlooker(-1, lambda: None))
    run = Run.read(folder)
    assert [trial.outcome for trial in run.trials] == ["ok"] * TRIALS


HUB = 'echo "$@" >> $CALLS; rm -f $FOLDER/refusals; echo "Current status for hub 1-1"; echo "  Port 2: 0100 power"'


def test_the_supply_is_cut_where_waiting_does_not_help(tmp_path: Path, ssh: Agent, suite: Suite, way: Way) -> None:
    def hang() -> None:
        way.refuse(1_000_000)
        kill(tmp_path, signal.SIGKILL)

    way.program("uhubctl", HUB)
    bench = bench_over(ssh, {"kind": "uhubctl", "location": "1-1", "port": 2, "off_s": 0}, reconnect_s=0.3)
    folder = experiment.start(bench, suite, 1, tmp_path / "runs", Onlooker(HIT, hang))
    one_lost(Run.read(folder), "its supply cut 1 times by uhubctl, hub 1-1 port 2")
    assert way.calls("uhubctl.calls") == ["-l 1-1 -p 2 -a cycle -d 0"]


def test_the_supply_is_cut_no_more_often_than_the_bench_allows(
    tmp_path: Path, ssh: Agent, suite: Suite, way: Way
) -> None:
    def hang() -> None:
        way.refuse(1_000_000)
        kill(tmp_path, signal.SIGKILL)

    way.program("relay", 'echo "$@" >> $CALLS')
    switch = {"kind": "command", "off": ["relay", "0"], "on": ["relay", "1"], "off_s": 0, "cycles": 2}
    bench = bench_over(ssh, switch, reconnect_s=0.2)
    with pytest.raises(BenchError, match=r"did not come back within 0\.2 s, its supply cut 2 times by 'relay 0'"):
        experiment.start(bench, suite, 1, tmp_path / "runs", Onlooker(HIT, hang))
    assert way.calls("relay.calls") == ["0", "1", "0", "1"]


def test_a_board_that_is_lost_over_and_over_stops_the_run(tmp_path: Path, ssh: Agent, suite: Suite, way: Way) -> None:
    way.cut_at_every_trial()
    onlooker = Onlooker(-1, lambda: None)
    with pytest.raises(BenchError, match="lost 4 times and made no trial between"):
        experiment.start(bench_over(ssh), suite, 1, tmp_path / "runs", onlooker)
    assert [trial.outcome for trial in onlooker.recorded] == ["lost"] * 3
    bound, *_ = onlooker.recorded
    assert str(bound.action) == "cpu/fp32", "what the plan itself decided is known"


def test_an_agent_that_takes_nothing_more_is_given_up(ssh: Agent, tmp_path: Path) -> None:
    with RemoteAgent(ssh, "testbed.agent.boards.linux:open_board", (), {"threads": 1}) as remote:
        kill(tmp_path, signal.SIGSTOP)
        with pytest.raises(BoardLost):
            remote.ask("put_model", patience_s=0.3, sha256="0" * 64, content=os.urandom(1 << 24))
        remote.start_again()
        assert remote.ask("identify")["processors"]["cpu"]
