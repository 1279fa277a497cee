"""Experiment files: what is wrong is named, with its line and the nearest right word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.policies import PolicyError
from testbed.arena import contest
from testbed.arena.config import load_experiment
from testbed.errors import BenchError

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "arena").glob("*.yaml"))


def silent(text: str) -> None:
    pass


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_right(file: Path) -> None:
    experiment = load_experiment(file)
    assert experiment.seeds >= 1


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("trials: 24", "trails: 24", "small.yaml:20: trails: unknown key; did you mean 'trials'"),
        ("kind: virtual, name: pi", "kind: virtul, name: pi", "no kind 'virtul'; did you mean 'virtual'"),
        ("at: 12", "at: 24", "drift 'hot' ends at trial 24: give more trials"),
        ("profile: [S1]}", "profile: [S4]}", "'edge-best': S4 is not profiled"),
        ("name: bayesian}", "name: opt}", "policies: opt stands there twice"),
        ("environments: [S1, D4]", "environments: [S1, hot]", "environments and drifts: hot stands there twice"),
        ("environments: [S1, D4]", "environments: [{name: b, trace: b.csv}]", "'b': the arena's worlds know signals"),
    ],
)
def test_a_wrong_file_is_refused(written: Path, right: str, wrong: str, message: str) -> None:
    text = written.read_text()
    assert right in text
    written.write_text(text.replace(right, wrong))
    with pytest.raises(BenchError) as refusal:
        load_experiment(written)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("right", "wrong", "kind", "message"),
    [
        ("model: mobilenet-v1", "model: mobilenet-v9", BenchError, "unknown network 'mobilenet-v9': did you mean"),
        ("raspberry-pi-5", "raspberry-pie", BenchError, "board 'pi': there is no virtual board 'raspberry-pie'"),
        ("dla0/int8", "dla7/int8", BenchError, "has no target 'dla7'"),
        ("environments: [S1, D4]", "environments: [S1, D5]", BenchError, "environment 'D5' is unknown"),
        ("policy: autoscale,", "policy: autoscal,", PolicyError, "policy 'autoscal' does not exist; did you mean"),
        ("{reward: qos-penalty}", "{rewrad: qos-penalty}", PolicyError, "option 'rewrad' does not exist"),
    ],
)
def test_what_does_not_exist_is_named(
    written: Path, right: str, wrong: str, kind: type[Exception], message: str
) -> None:
    text = written.read_text()
    assert right in text
    written.write_text(text.replace(right, wrong))
    with pytest.raises(kind) as refusal:
        contest.prepare(load_experiment(written), silent)
    assert message in str(refusal.value)


def test_transfer_needs_another_board(written: Path) -> None:
    lines = written.read_text().splitlines()
    written.write_text("\n".join(line for line in lines if "name: jetson" not in line))
    with pytest.raises(BenchError, match="comes from another board"):
        contest.prepare(load_experiment(written), silent)


def test_all_is_every_step(written: Path, expect_steps: Callable[[str], int]) -> None:
    plans = contest.prepare(load_experiment(written), silent)
    steps = [action for action in plans[0].actions if (action.target, action.precision) == ("cpu", "fp32")]
    assert len(steps) == expect_steps("raspberry-pi-5")


@pytest.fixture
def expect_steps() -> Callable[[str], int]:
    from testbed.virtual.config import PROFILES

    return lambda profile: len(PROFILES[profile].processors["cpu"].circuit.frequencies_hz)
