from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from results.analysis import Analysis, Overall, Row, analyse
from results.learning import SPAN, learning_curves, moving_mean
from results.names import policy_name, policy_order, row_colour
from results.quality import assess
from results.records import ActionRecord, RewardRecord
from results.report import render
from results.run import Run
from results.tables import summary

BASELINE = "edge-cpu-fp32"
REWARD = RewardRecord(name="published", value=-1.0)


def row(analysis: Analysis, policy: str, phase: str = "all", environment: str = "S1") -> Row:
    (found,) = [
        row for row in analysis.rows if (row.policy, row.phase, row.environment) == (policy, phase, environment)
    ]
    return found


def overall(analysis: Analysis, policy: str, phase: str = "all") -> Overall:
    (found,) = [each for each in analysis.overall if (each.policy, each.phase) == (policy, phase)]
    return found


def test_efficiency_is_the_ratio_of_mean_energies(tmp_path: Path, synthetic: ModuleType) -> None:
    measured = [(BASELINE, 0.2), (BASELINE, 0.4), ("cloud", 0.1), ("cloud", 0.1)]
    changes = [{"policy": policy, "energy": synthetic.energy(energy_j)} for policy, energy_j in measured]
    analysis = analyse(synthetic.recorded(tmp_path / "run", *changes))
    cloud = row(analysis, "cloud")
    assert cloud.energy_j is not None
    assert cloud.efficiency is not None
    assert cloud.energy_j.value == pytest.approx(0.1)
    assert cloud.idle_subtracted_j == pytest.approx(0.06)
    assert cloud.efficiency.value == pytest.approx(3.0)
    baseline = row(analysis, BASELINE).efficiency
    assert baseline is not None
    assert baseline.value == 1.0


def test_what_differs_between_blocks_cancels_out_of_a_ratio_and_not_of_an_energy(
    tmp_path: Path, synthetic: ModuleType
) -> None:
    changes = [
        {"block": block, "policy": policy, "energy": synthetic.energy(energy_j * share)}
        for block, energy_j in enumerate((0.2, 0.4, 0.3, 0.25))
        for policy, share in ((BASELINE, 1.0), ("cloud", 0.5))
        for _ in range(3)
    ]
    analysis = analyse(synthetic.recorded(tmp_path / "run", *changes))
    assert analysis.in_one_block == 0
    cloud = row(analysis, "cloud")
    assert cloud.efficiency is not None
    assert (cloud.efficiency.low, cloud.efficiency.high) == (pytest.approx(2.0), pytest.approx(2.0))
    assert cloud.energy_j is not None
    assert cloud.energy_j.low is not None
    assert cloud.energy_j.high is not None
    assert cloud.energy_j.low < 0.13 < 0.16 < cloud.energy_j.high


def test_two_blocks_have_no_interval_and_one_is_told(tmp_path: Path, synthetic: ModuleType) -> None:
    for blocks, interval, told in ((1, True, 1), (2, False, 0), (3, True, 0)):
        changes = [{"block": number % blocks, "energy": synthetic.energy(0.1 + 0.01 * number)} for number in range(12)]
        analysis = analyse(synthetic.recorded(tmp_path / f"{blocks}", *changes))
        found = row(analysis, BASELINE).energy_j
        assert found is not None
        assert (found.low is not None) == interval
        assert analysis.in_one_block == told


def test_a_median_stands_beside_a_mean_that_a_tail_carries_away(tmp_path: Path, synthetic: ModuleType) -> None:
    energies = [0.1] * 9 + [2.0]
    heavy = synthetic.recorded(tmp_path / "heavy", *({"energy": synthetic.energy(energy_j)} for energy_j in energies))
    found = row(analyse(heavy), BASELINE)
    assert found.median_energy_j is not None
    assert found.median_energy_j.value == pytest.approx(0.1)
    even = synthetic.recorded(tmp_path / "even", *({"energy": synthetic.energy(0.1)} for _ in range(10)))
    assert row(analyse(even), BASELINE).median_energy_j is None


@pytest.mark.parametrize("kind", ["warmup", "profile", "reference"])
def test_only_trials_of_policies_count(tmp_path: Path, synthetic: ModuleType, kind: str) -> None:
    run = synthetic.recorded(tmp_path / "run", {}, {"kind": kind, "policy": None, "energy": synthetic.energy(9.0)})
    (only,) = analyse(run).rows
    assert only.quality.trials == 1
    assert only.energy_j is not None
    assert only.energy_j.value == pytest.approx(0.1)


def test_a_failed_trial_misses_and_lowers_no_energy(tmp_path: Path, synthetic: ModuleType) -> None:
    failed = {
        "outcome": "failed",
        "n": 1,
        "latencies_s": (2.0,),
        "qos_met": 0,
        "accuracy": None,
        "energy": synthetic.energy(0.001),
    }
    found = row(analyse(synthetic.recorded(tmp_path / "run", {"qos_met": 3}, failed)), BASELINE)
    assert found.energy_j is not None
    assert found.energy_j.value == pytest.approx(0.1)
    assert found.quality.failed == 1
    assert found.quality.qos_violations == pytest.approx(2 / 5)
    assert found.quality.accuracy_misses == pytest.approx(1 / 2)
    assert found.latency_s is not None
    assert found.latency_s.value == pytest.approx(0.0025)


def test_a_refused_trial_is_only_counted(tmp_path: Path, synthetic: ModuleType) -> None:
    refused = {"outcome": "refused", "qos_met": 0, "note": "window too short", "opt": synthetic.opt(9.0, 0.1)}
    run = synthetic.recorded(tmp_path / "run", {}, refused)
    found = row(analyse(run), BASELINE)
    assert (found.quality.trials, found.quality.refused) == (2, 1)
    assert found.quality.qos_violations == 0.0
    assert found.gap_to_opt == pytest.approx(1.0)
    assert assess(run).complaints == {"window too short": 1}


def test_a_lost_trial_is_only_counted_and_told_of(tmp_path: Path, synthetic: ModuleType) -> None:
    nothing = {"n": 0, "latencies_s": (), "qos_met": 0, "accuracy": None, "energy": None, "learnt": None, "opt": None}
    lost = {"outcome": "lost", "note": "back after 3 s", "state": {}, "action": None, **nothing}
    run = synthetic.recorded(tmp_path / "run", {}, lost)
    found = row(analyse(run), BASELINE)
    assert (found.quality.trials, found.quality.lost, found.quality.failed) == (2, 1, 0)
    assert (found.quality.qos_violations, found.quality.accuracy_misses) == (0.0, 0.0)
    assert found.quality.decisions == {"cpu/fp32": 1}
    assert assess(run).complaints == {"back after 3 s": 1}
    assert "1 lost with the board" in render(run)


def test_accuracy_below_the_target_is_a_miss(tmp_path: Path, synthetic: ModuleType) -> None:
    run = synthetic.recorded(tmp_path / "run", {"accuracy": 0.69}, {"accuracy": 0.70}, {}, {})
    assert row(analyse(run), BASELINE).quality.accuracy_misses == pytest.approx(0.25)


def test_gap_regret_and_agreement(tmp_path: Path, synthetic: ModuleType) -> None:
    cases = [
        ("cpu", synthetic.opt(0.05, 0.05, target="cpu")),  # Opt's own action, but for the precision
        ("gpu", synthetic.opt(0.05, 0.05)),  # Opt's own
        ("cpu", synthetic.opt(0.0525, 0.05)),  # as good, just
        ("cpu", synthetic.opt(0.0526, 0.05)),  # too dear
        ("cpu", synthetic.opt(0.04, 0.05, met=False)),  # saved by missing QoS
        ("cpu", synthetic.opt(0.04, 0.05, met=False, feasible=False)),  # which could not be met
    ]
    changes = [
        {
            "action": ActionRecord(target=target, precision="fp16" if target == "gpu" else "fp32", frequency_hz=None),
            "opt": opt,
        }
        for target, opt in cases
    ]
    found = row(analyse(synthetic.recorded(tmp_path / "run", *changes)), BASELINE)
    assert found.quality.agreement == pytest.approx(1 / 6)
    assert found.quality.agreement_near == pytest.approx(4 / 6)
    chosen_j = 0.05 + 0.05 + 0.0525 + 0.0526 + 0.04 + 0.04
    assert found.gap_to_opt == pytest.approx(chosen_j / 0.3 - 1)
    assert found.regret_j == pytest.approx(4 * (chosen_j - 0.3))
    assert found.quality.decisions == {"cpu/fp32": 5, "gpu/fp16": 1}


def test_feasible_requests_are_judged_apart(tmp_path: Path, synthetic: ModuleType) -> None:
    hopeless = {"qos_met": 0, "opt": synthetic.opt(0.1, 0.1, feasible=False)}
    quality = row(analyse(synthetic.recorded(tmp_path / "run", {"qos_met": 3}, hopeless)), BASELINE).quality
    assert quality.qos_violations == pytest.approx(5 / 8)
    assert quality.qos_violations_feasible == pytest.approx(1 / 4)


def test_a_learner_is_shown_whole_and_by_its_last_half(tmp_path: Path, synthetic: ModuleType) -> None:
    learned = [
        {"policy": "autoscale", "reward": REWARD, "energy": synthetic.energy(energy_j), "explored": energy_j > 0.25}
        for energy_j in (0.5, 0.3, 0.2, 0.1)
    ]
    fixed = {"energy": synthetic.energy(0.3)}
    analysis = analyse(synthetic.recorded(tmp_path / "run", *learned, fixed, fixed))
    assert analysis.learners == ["autoscale"]
    energies = {each.phase: each.energy_j for each in analysis.rows if each.policy == "autoscale"}
    assert energies["all"].value == pytest.approx(0.275)
    assert energies["last half"].value == pytest.approx(0.15)
    assert row(analysis, "autoscale").quality.explored == 2
    assert row(analysis, "autoscale", "last half").quality.explored == 0
    assert [each.phase for each in analysis.rows if each.policy == BASELINE] == ["all"]
    assert overall(analysis, "autoscale", "last half").over[BASELINE].value == pytest.approx(2.0)


def test_overall_is_the_geometric_mean_of_the_places(tmp_path: Path, synthetic: ModuleType) -> None:
    energies = {("S1", BASELINE): 0.2, ("S1", "cloud"): 0.1, ("D3", BASELINE): 0.8, ("D3", "cloud"): 0.1}
    changes = [
        {
            "environment": environment,
            "policy": policy,
            "energy": synthetic.energy(energy_j),
            "opt": synthetic.opt(energy_j, 0.1),
        }
        for (environment, policy), energy_j in energies.items()
        for _ in range(2)
    ]
    only_baseline = {"environment": "S4", "policy": BASELINE, "opt": None}
    analysis = analyse(synthetic.recorded(tmp_path / "run", *changes, only_baseline))
    assert analysis.environments == ["S1", "S4", "D3"]
    cloud = overall(analysis, "cloud")
    assert cloud.over[BASELINE].value == pytest.approx(4.0)
    assert cloud.over[BASELINE].low == pytest.approx(4.0)
    assert cloud.places == {BASELINE: 2}
    assert overall(analysis, BASELINE).gap_to_opt == pytest.approx((2 * 8) ** 0.5 - 1)


def test_the_estimate_and_the_truth_stand_beside_the_meter(tmp_path: Path, synthetic: ModuleType) -> None:
    changes = [
        {"estimated_energy_j": 0.12, "truth_energy_j": 0.1},
        {"estimated_energy_j": 0.09, "truth_energy_j": 0.1 / 1.02 - 1e-9},  # 0.00196 off, within 2 * 0.001
        {"estimated_energy_j": None, "truth_energy_j": 0.1 / 1.03},  # 0.0029 off
    ]
    run = synthetic.recorded(tmp_path / "run", *changes)
    found = row(analyse(run), BASELINE)
    assert found.estimate_error == pytest.approx(0.15)
    assert found.truth is not None
    assert found.truth.bias == pytest.approx(0.05 / 3)
    assert found.truth.worst == pytest.approx(0.03)
    assert found.truth.coverage == pytest.approx(2 / 3)
    assert assess(run).truth == found.truth


def test_what_was_not_measured_is_none_and_never_zero(tmp_path: Path, synthetic: ModuleType) -> None:
    blind = {"energy": None, "opt": None, "truth_energy_j": None, "estimated_energy_j": None, "clock": None}
    run = synthetic.recorded(tmp_path / "run", blind, blind | {"policy": "autoscale", "reward": REWARD})
    for line in json.loads(json.dumps(summary(run), allow_nan=False)):
        known = {name for name, value in line.items() if value is not None}
        assert not known & {
            *("energy_j", "energy_low_j", "energy_high_j", "efficiency", "efficiency_low", "efficiency_high"),
            *("idle_subtracted_j", "frame_energy_j", "gap_to_opt", "regret_j", "agreement", "agreement_near"),
            *("estimate_error", "truth_bias", "truth_coverage", "qos_violations_feasible"),
        }
        assert line["qos_violations"] == 0.0
    quality = assess(run)
    assert (quality.truth, quality.drift, quality.uncertainty, quality.clocks) == (None, None, None, {})


def test_a_meter_that_reads_nothing_breaks_no_figure(tmp_path: Path, synthetic: ModuleType) -> None:
    dead = {"energy": synthetic.energy(0.0)}
    run = synthetic.recorded(tmp_path / "run", {}, {}, dead | {"policy": "cloud"}, dead | {"policy": "cloud"})
    (cloud,) = [line for line in summary(run) if line["policy"] == "cloud"]
    assert (cloud["energy_j"], cloud["efficiency"], cloud["estimate_error"]) == (0.0, None, None)


def test_summary_has_plain_rows_in_reading_order(tmp_path: Path, synthetic: ModuleType) -> None:
    policies = ("opt", "mine", "cloud", BASELINE)
    run = synthetic.recorded(tmp_path / "run", *({"policy": policy} for policy in policies for _ in range(2)))
    rows = summary(run)
    lines = [(line["policy_name"], line["phase"]) for line in rows]
    assert lines == [
        ("Edge (CPU FP32)", "all"),
        ("Cloud", "all"),
        ("mine", "all"),
        ("mine", "last half"),
        ("Opt", "all"),
    ]
    assert rows[0]["energy_j"] == pytest.approx(0.1)
    assert rows[0]["decisions"] == {"cpu/fp32": 2}


def test_moving_mean_by_hand() -> None:
    assert moving_mean([4.0, 2.0, 0.0, 7.0], span=2) == (4.0, 3.0, 1.0, 3.5)


def test_a_learning_curve_by_the_truth(tmp_path: Path, synthetic: ModuleType) -> None:
    learner = {"policy": "autoscale", "reward": REWARD}
    chosen_j = [0.3] + [0.1] * SPAN
    changes = [learner | {"opt": synthetic.opt(energy_j, 0.1)} for energy_j in chosen_j]
    run = synthetic.recorded(tmp_path / "run", {}, *changes)
    (curve,) = learning_curves(run, analyse(run))
    assert (curve.policy, curve.over) == ("autoscale", "opt")
    assert curve.energy[:2] == pytest.approx((3.0, 2.0))
    assert curve.energy[-1] == pytest.approx(1.0)


def test_a_learning_curve_by_the_meter(tmp_path: Path, synthetic: ModuleType) -> None:
    learner = {"policy": "autoscale", "reward": REWARD, "opt": None}
    changes = [learner | {"energy": synthetic.energy(energy_j)} for energy_j in (0.2, 0.05)]
    baseline = {"opt": None, "energy": synthetic.energy(0.1)}
    run = synthetic.recorded(tmp_path / "run", *changes, baseline)
    (curve,) = learning_curves(run, analyse(run))
    assert curve.over == BASELINE
    assert curve.energy == pytest.approx((2.0, 1.25))


def references(synthetic: ModuleType, energies: list[tuple[str, float]]) -> list[dict[str, object]]:
    return [
        {"kind": "reference", "policy": None, "environment": environment, "energy": synthetic.energy(energy_j)}
        for environment, energy_j in energies
    ]


def test_the_sentinel_sees_a_drift(tmp_path: Path, synthetic: ModuleType) -> None:
    energies = [("S1", 0.1 + 0.001 * step) for step in range(21)]
    drift = assess(synthetic.recorded(tmp_path / "run", *references(synthetic, energies))).drift
    assert drift is not None
    assert drift.trials == 21
    assert drift.change.value == pytest.approx(0.02 / 0.11)
    assert drift.change.low == pytest.approx(0.02 / 0.11)


def test_the_sentinel_takes_no_environment_for_drift(tmp_path: Path, synthetic: ModuleType) -> None:
    energies = [("S1", 0.1)] * 6 + [("S2", 0.3)] * 6
    drift = assess(synthetic.recorded(tmp_path / "run", *references(synthetic, energies))).drift
    assert drift is not None
    assert drift.change.value == pytest.approx(0.0)
    assert drift.spread == pytest.approx(0.0)


def test_uncertainty_and_clocks_are_summed_up(unfinished: Path, synthetic: ModuleType) -> None:
    quality = assess(Run.read(unfinished))
    assert quality.uncertainty is not None
    assert quality.uncertainty.median == pytest.approx(0.01)
    assert quality.uncertainty.by_cause == pytest.approx({"gain": 0.008, "edges": 0.006})
    assert quality.clocks["board"].fits == 4
    assert quality.clocks["board"].worst_residual_s == pytest.approx(2e-5)
    assert quality.clocks["board"].largest_drift == pytest.approx(1e-6)


def test_policies_are_told_apart() -> None:
    known = [
        BASELINE,
        "edge-best",
        "connected-edge",
        "cloud",
        "autoscale",
        "bayesian",
        "bayesian-profiled",
        "linucb",
        "opt",
    ]
    policies = sorted([*reversed(known), "new"], key=policy_order)
    assert [policy for policy in policies if policy != "new"] == known
    assert policies[-2:] == ["new", "opt"]
    assert policy_name("bayesian-profiled") == "Bayesian, profiled before"
    colours = [row_colour(policy, phase) for policy in policies for phase in ("all", "last half")]
    assert len(set(colours)) == len(colours)
