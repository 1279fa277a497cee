"""Runs against each other, and the conditions that judge them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import StoreError
from results.comparison import Comparison, compare
from results.gates import METRICS, Gate, GateError, judge_changes, judge_levels
from results.run import Run
from results.statistics import Estimate

BLOCKS, TRIALS = 4, 5


def made(
    path: Path, synthetic: ModuleType, factor: float, seed: int = 1, policies: tuple[str, ...] = ("cloud",)
) -> Run:
    """Two environments of four blocks; energies scatter by 3 % between blocks, and are `factor` times 0.1 J."""
    random = np.random.default_rng(seed)
    changes = []
    for place, environment in enumerate(("S1", "S4")):
        for block in range(BLOCKS):
            level = 0.1 * factor * float(np.exp(random.normal(0, 0.03)))
            for policy in policies:
                changes += [
                    {
                        "block": BLOCKS * place + block,
                        "environment": environment,
                        "policy": policy,
                        "energy": synthetic.energy(level * float(np.exp(random.normal(0, 0.01)))),
                    }
                    for _ in range(TRIALS)
                ]
    run: Run = synthetic.recorded(path, *changes)
    return run


def overall(comparison: Comparison) -> Estimate:
    estimate = comparison.whole("energy_j", "cloud")
    assert estimate is not None
    return estimate


def test_a_change_is_found_with_its_interval(tmp_path: Path, synthetic: ModuleType) -> None:
    before, after = (made(tmp_path / str(seed), synthetic, factor, seed) for seed, factor in ((1, 1.0), (2, 1.2)))
    estimate = overall(compare([(before, after)]))
    assert estimate.low is not None
    assert estimate.high is not None
    assert 1.05 < estimate.low < 1.2 < estimate.high < 1.35


def test_a_run_against_itself_has_not_changed(tmp_path: Path, synthetic: ModuleType) -> None:
    run = made(tmp_path / "run", synthetic, 1.0)
    comparison = compare([(run, run)])
    assert comparison.paired
    assert overall(comparison) == Estimate(1.0, pytest.approx(1.0), pytest.approx(1.0))
    assert [change.qos_missed for change in comparison.changes] == [Estimate(0.0, 0.0, 0.0)] * 2


def test_of_several_seeds_the_pairs_are_what_counts(tmp_path: Path, synthetic: ModuleType) -> None:
    pairs = [
        (made(tmp_path / f"a{seed}", synthetic, 1.0, seed), made(tmp_path / f"b{seed}", synthetic, 1.1, seed + 50))
        for seed in range(4)
    ]
    comparison = compare(pairs)
    estimate = overall(comparison)
    assert estimate.value == pytest.approx(np.exp(np.mean([np.log(overall(compare([pair])).value) for pair in pairs])))
    assert estimate.low is not None
    assert 1.0 < estimate.low < 1.1
    assert overall(compare(pairs[:2])).low is None  # two pairs say as little as two blocks


def test_what_only_one_run_has_is_named(tmp_path: Path, synthetic: ModuleType) -> None:
    before = made(tmp_path / "a", synthetic, 1.0)
    after = made(tmp_path / "b", synthetic, 1.0, policies=("cloud", "opt"))
    comparison = compare([(before, after)])
    assert [(key[1], key[2]) for key in comparison.alone] == [("S1", "opt"), ("S4", "opt")]
    assert comparison.policies == ["cloud"]


@pytest.mark.parametrize(
    ("factor", "condition", "verdict"),
    [
        (1.2, "energy_j>+5%", "fails"),
        (1.2, "energy_j>+50%", "holds"),
        (1.05, "energy_j>+5%", "undecided"),
        (0.8, "energy_j<-5%", "fails"),
        (1.2, "qos_violations>+1%", "holds"),
        (1.2, "latency_s>+5%", "holds"),
    ],
)
def test_a_condition_fails_by_the_whole_interval(
    tmp_path: Path, synthetic: ModuleType, factor: float, condition: str, verdict: str
) -> None:
    before, after = made(tmp_path / "a", synthetic, 1.0, 1), made(tmp_path / "b", synthetic, factor, 2)
    (judgement,) = judge_changes([Gate.read(condition)], compare([(before, after)]), [])
    assert judgement.verdict == verdict
    assert verdict in str(judgement)


def test_levels_are_judged_place_by_place_and_together(tmp_path: Path, synthetic: ModuleType) -> None:
    run = made(tmp_path / "run", synthetic, 1.0)
    alone = judge_levels([Gate.read("energy_j>50 mJ")], run, ["cloud"])
    assert [judgement.verdict for judgement in alone] == ["fails", "fails"]
    assert "Cloud in mobilenet, S1" in str(alone[0])
    together = judge_levels([Gate.read("energy_j>50 mJ"), Gate.read("energy_j<0.2")], run, [])
    assert together[0].estimate.low is not None
    assert alone[0].estimate.low is not None
    assert together[0].estimate.low < alone[0].estimate.low  # four intervals at once are wider than two


def test_nothing_passes_for_want_of_data(tmp_path: Path, synthetic: ModuleType) -> None:
    run = synthetic.recorded(tmp_path / "run", {"block": 0}, {"block": 1})
    with pytest.raises(StoreError, match="cannot be judged: nothing has trials of 3 blocks"):
        judge_levels([Gate.read("energy_j>1 J")], run, [])
    blind = synthetic.recorded(tmp_path / "blind", *({"block": block, "energy": None} for block in range(4)))
    with pytest.raises(StoreError, match="cannot be judged: nothing was measured"):
        judge_levels([Gate.read("energy_j>1 J")], blind, [])


@pytest.mark.parametrize(
    ("text", "bound", "of_change"),
    [
        ("energy_j>+5%", 0.05, True),
        (" energy_j < -2.5 % ", -0.025, True),
        ("energy_j>5 mJ", 0.005, False),
        ("latency_s>33ms", 0.033, False),
        ("latency_s>0.1", 0.1, False),
        ("qos_violations>1%", 0.01, False),
    ],
)
def test_conditions_are_read(text: str, bound: float, of_change: bool) -> None:
    gate = Gate.read(text)
    assert (gate.bound, gate.of_change) == (pytest.approx(bound), of_change)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("energy_j", "write it like"),
        ("energy>5", "there are energy_j, latency_s, qos_violations"),
        ("energy_j>+5", "write the bound with %"),
        ("energy_j>5 ms", "has the unit 'ms'; write J, mJ, uJ"),
        ("qos_violations>3", "write the bound with %"),
        ("", "write it like"),
    ],
)
def test_a_condition_that_cannot_be_read_says_how_to_write_it(text: str, says: str) -> None:
    with pytest.raises(GateError, match=says):
        Gate.read(text)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading(text: str) -> None:
    try:
        gate = Gate.read(text)
    except GateError:
        return
    assert gate.metric in METRICS


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1), st.booleans())
def test_a_verdict_is_one_of_three_for_every_interval(
    value: float, below: float, beyond: float, bound: float, above: bool
) -> None:
    gate = Gate("made up", "energy_j", above, bound, True)
    estimate = Estimate(value, value - below, value + beyond)
    outside = value - below > bound if above else value + beyond < bound
    assert (gate.verdict(estimate) == "fails") == outside
