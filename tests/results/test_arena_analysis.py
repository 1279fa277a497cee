"""An arena's figures, on decisions whose worth is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from results import StoreError
from results.arena import ArenaHeader, ArenaRecords, CellRecord, read_records, write_course, write_header
from results.arena.analysis import analyse, behind
from results.arena.curves import curves, decision_map
from results.arena.page import render
from results.arena.tables import as_json

TRIALS = 40
ACTIONS = ["cpu/fp32@2400MHz", "cpu/int8@2400MHz", "cpu/int8@1500MHz"]
ENERGY_J = np.array([0.4, 0.104, 0.1])
"""true means; the last is Opt's"""


def header(**changes: object) -> ArenaHeader:
    values: dict[str, object] = {
        "created": "2026-11-23T00:00:00+00:00",
        "experiment": {"name": "known", "trials": TRIALS},
        "versions": {},
        "host": {},
        "provenance": {"pi": "virtual"},
        "actions": {"pi": ACTIONS},
        "notes": {"pi": []},
    }
    return ArenaHeader(**{**values, **changes})  # type: ignore[arg-type]


def cell(policy: str, chosen: list[int], seed: int = 0, environment: str = "S1", **changes: object) -> CellRecord:
    actions = np.array(chosen)
    values: dict[str, object] = {
        "board": "pi",
        "workload": "photo",
        "environment": environment,
        "policy": policy,
        "seed": seed,
        "shift": None,
        "trained": 0,
        "chosen": actions,
        "opt": np.full(TRIALS, 2),
        "energy_j": ENERGY_J[actions] * (1 + 0.001 * seed),
        "chosen_energy_j": ENERGY_J[actions],
        "opt_energy_j": np.full(TRIALS, ENERGY_J[2]),
        "missed": actions == 0,
        "accurate": np.ones(TRIALS, bool),
        "feasible": np.ones(TRIALS, bool),
        "met": actions != 0,
        "explored": np.zeros(TRIALS, bool),
    }
    return CellRecord(**{**values, **changes})  # type: ignore[arg-type]


def records(folder: Path, cells: list[CellRecord], **changes: object) -> ArenaRecords:
    write_header(folder, header(**changes))
    write_course(folder, "all", cells)
    return read_records(folder)


def learner(settled_at: int) -> list[int]:
    return [0] * settled_at + [1] * (TRIALS - settled_at)


@pytest.fixture
def known(tmp_path: Path) -> ArenaRecords:
    return records(
        tmp_path,
        [
            each
            for seed in range(5)
            for each in (
                cell("edge-cpu-fp32", [0] * TRIALS, seed),
                cell("opt", [2] * TRIALS, seed),
                cell("bayesian", learner(4 + seed), seed),
                cell("autoscale", [2, 0] * (TRIALS // 2), seed, explored=np.arange(TRIALS) % 2 == 1),
            )
        ],
    )


def test_figures_of_known_decisions(known: ArenaRecords) -> None:
    analysis = analyse(known)
    baseline, bayesian, autoscale = (
        analysis.row("pi", policy) for policy in ("edge-cpu-fp32", "bayesian", "autoscale")
    )
    assert baseline is not None
    assert bayesian is not None
    assert autoscale is not None
    assert bayesian.over["edge-cpu-fp32"].value == pytest.approx(0.4 / 0.104)
    assert bayesian.gap.value == pytest.approx(0.04)
    assert (bayesian.exact.value, bayesian.near_1.value, bayesian.near_5.value) == (0.0, 0.0, 1.0)
    assert (baseline.qos_missed.value, bayesian.qos_missed.value) == (1.0, 0.0)
    assert baseline.gap.value == pytest.approx(3.0)
    assert bayesian.settled_after.value == 6
    assert bayesian.settled_after.low is not None
    assert bayesian.settled_after.high is not None
    assert 4 <= bayesian.settled_after.low <= 6 <= bayesian.settled_after.high <= 8
    assert math.isinf(baseline.settled_after.value)
    assert baseline.never_settled == 1.0
    assert autoscale.exact.value == pytest.approx(0.5)
    assert autoscale.exact_exploiting.value == 1.0
    assert autoscale.gap.value == pytest.approx(1.5)
    assert autoscale.gap_exploiting.value == pytest.approx(0.0)


def test_regret_counts_the_exploring_start(known: ArenaRecords) -> None:
    whole = analyse(known).row("pi", "bayesian", "all")
    assert whole is not None
    assert whole.regret_j.value == pytest.approx(6 * 0.3 + (TRIALS - 6) * 0.004)


def test_two_actions_of_one_truth_are_one(tmp_path: Path) -> None:
    """Opt on one accelerator core, the policy on its twin."""
    twin = cell("bayesian", [1] * TRIALS, chosen_energy_j=np.full(TRIALS, 0.1))
    row = analyse(records(tmp_path, [twin])).row("pi", "bayesian")
    assert row is not None
    assert row.exact.value == 1.0


def test_where_nothing_is_feasible_nothing_can_be_missed_that_opt_meets(tmp_path: Path) -> None:
    none, every = np.zeros(TRIALS, bool), np.ones(TRIALS, bool)
    hopeless = cell("bayesian", [2] * TRIALS, feasible=none, met=none, missed=every)
    row = analyse(records(tmp_path, [hopeless])).row("pi", "bayesian")
    assert row is not None
    assert row.qos_missed_feasible is None
    assert row.near_5.value == row.exact.value == 1.0


def test_adapting_is_counted_from_the_shift(tmp_path: Path) -> None:
    chosen = [2] * 20 + [0] * 7 + [2] * 13
    drifting = [cell("bayesian", chosen, seed, "hot", shift=20) for seed in range(3)]
    found = analyse(records(tmp_path, [*drifting, cell("bayesian", [2] * TRIALS)]))
    (shift,) = found.shifts
    assert (shift.drift, shift.adapted_after.value, shift.never) == ("hot", 7, 0.0)
    assert shift.gap_after.value == pytest.approx(7 * 0.3 / (20 * 0.1))
    assert found.environments == ("S1",)


def test_cells_in_which_one_is_behind_are_found(tmp_path: Path) -> None:
    cells = [cell("bayesian", [1] * TRIALS, seed) for seed in range(4)]
    cells += [cell("autoscale", [2] * TRIALS, seed) for seed in range(4)]
    cells += [cell(policy, [2] * TRIALS, seed, "S2") for policy in ("bayesian", "autoscale") for seed in range(4)]
    (lost,) = behind(records(tmp_path, cells), "bayesian", "autoscale")
    assert lost.environment == "S1"
    assert lost.ratio.value == pytest.approx(1.04)


def test_curves_and_the_map_follow_the_decisions(known: ArenaRecords) -> None:
    curve = next(each for each in curves(known) if each.policy == "bayesian")
    assert curve.over_opt[0] == pytest.approx(4.0)
    assert curve.over_opt[-1] == pytest.approx(1.04)
    found = decision_map(known, "pi", "bayesian")["photo", "S1"]
    assert (found.decision, found.share, found.near) == ("cpu/int8", 1.0, 1.0)


def test_the_page_labels_what_is_simulated(known: ArenaRecords) -> None:
    page = render(known, analyse(known), behind(known, "bayesian", "autoscale"))
    assert page.count("in simulation: a virtual board, no measurement of hardware") >= 5
    for figure in ("9.8\u00d7", "97.9 %", "unconfirmed", "confirmed", "recalled"):
        assert figure in page


def test_json_has_null_for_never(known: ArenaRecords) -> None:
    figures = as_json(known, analyse(known), [])
    rows = figures["rows"]
    assert isinstance(rows, list)
    baseline = next(row for row in rows if isinstance(row, dict) and row["policy"] == "edge-cpu-fp32")
    assert baseline["settled_after"]["value"] is None  # type: ignore[index,call-overload]


def test_what_is_no_arena_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no arena"):
        read_records(tmp_path)
    write_header(tmp_path, header())
    with pytest.raises(StoreError, match="holds no course yet"):
        read_records(tmp_path)
    (tmp_path / "courses" / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"torn\.parquet is damaged"):
        read_records(tmp_path)
    (tmp_path / "arena.json").write_text('{"format_version": 9}')
    with pytest.raises(StoreError, match="has arena format 9"):
        read_records(tmp_path)
