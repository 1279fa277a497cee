"""A run whose trials were too often off their condition is not a healthy one."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from results import Run, health
from results.quality import assess
from results.records import ConditionRecord
from results.store import RunStore


def run_with(path: Path, synthetic: ModuleType, tagged: int, trials: int, **suite: object) -> Run:
    reasons = [("throttled: soft temperature limit",), ("signal -71 dBm, -58 dBm asked", "throttled: x")]
    header = synthetic.header(suite={"name": "synthetic", **suite})
    with RunStore.create(path, header, synthetic.plan(trials + 1)) as store:
        for index in range(trials):
            strayed = reasons[index % 2] if index < tagged else ()
            condition = ConditionRecord(asked={}, applied={}, observed={}, strayed=strayed)
            store.append(synthetic.trial(index, condition=condition))
        hot = ConditionRecord(asked={}, applied={}, observed={}, strayed=("started at 61 C",))
        store.append(synthetic.trial(trials, kind="warmup", policy=None, condition=hot))  # counts nowhere
    return Run.read(path)


@pytest.mark.parametrize(("tagged", "passed"), [(0, True), (4, True), (5, False), (20, False)])
def test_more_tagged_trials_than_the_suite_takes_fail_it(
    tmp_path: Path, synthetic: ModuleType, tagged: int, passed: bool
) -> None:
    found = health(run_with(tmp_path / "run", synthetic, tagged, 20, most_tagged=0.2))
    assert found is not None
    assert (found.trials, found.tagged, found.passed) == (20, tagged, passed)


def test_it_says_what_was_wrong_most_often_whatever_the_figures(tmp_path: Path, synthetic: ModuleType) -> None:
    run = run_with(tmp_path / "run", synthetic, 5, 20, most_tagged=0.2)
    said = "3 x throttled: soft temperature limit; 2 x "
    assert str(health(run)).startswith(f"unhealthy: 5 of 20 trials tagged, 20% are taken ({said}")
    assert "2 x signal … dBm, … dBm asked" in str(health(run))
    assert assess(run).health == health(run)


def test_nothing_is_said_where_the_suite_states_no_share_or_nothing_was_made(
    tmp_path: Path, synthetic: ModuleType
) -> None:
    assert health(run_with(tmp_path / "unstated", synthetic, 5, 20)) is None
    assert health(run_with(tmp_path / "empty", synthetic, 0, 0, most_tagged=0.2)) is None
