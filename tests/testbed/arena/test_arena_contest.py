"""A whole arena: the same whatever the number of workers and however often it broke off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from results.arena import Cells, read_records
from testbed.arena import contest
from testbed.arena.config import Experiment
from testbed.arena.course import courses
from testbed.cli import run_command_line
from testbed.errors import BenchError


def run(experiment: Experiment, folder: Path, workers: int = 1) -> list[tuple[int, int]]:
    progress: list[tuple[int, int]] = []
    plans = contest.prepare(experiment, lambda text: None)
    contest.run(experiment, plans, folder, workers, lambda done, total: progress.append((done, total)))
    return progress


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "courses").iterdir()}


def test_workers_and_interruptions_change_nothing(experiment: Experiment, tmp_path: Path) -> None:
    progress = run(experiment, tmp_path / "alone")
    total = len(courses(experiment))
    assert total == 2 * 2 * 6
    assert progress == [(done, total) for done in range(total + 1)]
    run(experiment, tmp_path / "together", workers=2)
    alone, together = files(tmp_path / "alone"), files(tmp_path / "together")
    assert len(alone) == total
    assert alone == together
    for file in sorted((tmp_path / "together" / "courses").iterdir())[::2]:
        file.unlink()
    assert run(experiment, tmp_path / "together")[0] == (total // 2, total)
    assert files(tmp_path / "together") == alone


def test_every_policy_meets_the_same_world(experiment: Experiment, tmp_path: Path) -> None:
    run(experiment, tmp_path)
    cells = read_records(tmp_path).cells
    place = (cells.board == "pi") & (cells.workload == "photo") & (cells.environment == "D4") & (cells.seed == 1)
    here = cells.take(place)
    assert len(here) == 6
    assert (here.opt == here.opt[0]).all()
    assert (here.opt_energy_j == here.opt_energy_j[0]).all()
    same: dict[tuple[int, int], float] = {}
    for row in range(len(here)):
        for trial, key in enumerate(zip(here.chosen[row].tolist(), here.energy_j[row].tolist(), strict=True)):
            assert same.setdefault((trial, key[0]), key[1]) == key[1]
    opt = here.take(here.policy == "opt")
    assert (opt.chosen == opt.opt).all()
    assert not opt.missed.all()


def test_trained_and_transferred_policies_say_on_how_much(experiment: Experiment, tmp_path: Path) -> None:
    run(experiment, tmp_path)
    cells = read_records(tmp_path).cells

    def trained(policy: str) -> set[int]:
        return set(cells.trained[cells.policy == policy].tolist())

    assert trained("bayesian") == trained("opt") == {0}
    assert trained("autoscale-repaired-trained") == {2 * 2 * 10}
    assert trained("bayesian-transferred") == {2 * 2 * 10}


def test_leaving_a_network_out_trains_on_the_others(experiment: Experiment, tmp_path: Path) -> None:
    training = experiment.training.model_copy(update={"leave_network_out": True})
    policies = [policy for policy in experiment.policies if policy.start == "trained"]
    run(experiment.model_copy(update={"training": training, "policies": policies, "seeds": 1}), tmp_path)
    cells = read_records(tmp_path).cells
    assert set(cells.trained.tolist()) == {2 * 10}
    assert len(cells) == 2 * 2 * 3
    assert {name.split("--")[2] for name in files(tmp_path)} == {"photo", "detect"}


def test_a_hidden_throttle_shifts_opt_and_is_marked(experiment: Experiment, tmp_path: Path) -> None:
    run(experiment, tmp_path)
    cells = read_records(tmp_path).cells
    hot = cells.take((cells.environment == "hot") & (cells.policy == "opt") & (cells.board == "jetson"))
    assert set(hot.shift.tolist()) == {12}
    assert (hot.opt_energy_j[:, 12:].mean(axis=1) > hot.opt_energy_j[:, :12].mean(axis=1)).all()
    assert set(cells.shift[cells.environment == "S1"].tolist()) == {-1}


def test_more_seeds_may_be_added_but_nothing_else_changed(experiment: Experiment, tmp_path: Path) -> None:
    fewer = experiment.model_copy(update={"seeds": 1, "policies": experiment.policies[:2]})
    run(fewer, tmp_path)
    first = files(tmp_path)
    more = fewer.model_copy(update={"seeds": 2})
    assert run(more, tmp_path)[0] == (len(first), 2 * len(first))
    assert first.items() <= files(tmp_path).items()
    with pytest.raises(BenchError, match="holds another experiment"):
        run(more.model_copy(update={"trials": 30}), tmp_path)


def test_a_policy_with_nothing_to_choose_is_named(experiment: Experiment, tmp_path: Path) -> None:
    lost = experiment.policies[0].model_copy(update={"name": "connected-edge"})
    with pytest.raises(BenchError, match="jetson, photo, S1: connected-edge: none of the 3 actions"):
        run(experiment.model_copy(update={"policies": [lost]}), tmp_path)


def test_the_command_shows_tables_a_page_and_json(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_command_line(["arena", str(written), "--out", str(out), "--seeds", "1", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "in simulation" in shown
    assert "9.8\u00d7 (confirmed)" in shown
    assert "after a shift" in shown
    page = (out / "small" / "arena.html").read_text()
    assert page.count("in simulation: a virtual board, no measurement of hardware") > 5
    assert "97.9 %" in page
    assert "unconfirmed" in page
    assert run_command_line(["arena", str(written), "--out", str(out), "--seeds", "1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures == json.loads((out / "small" / "figures.json").read_text())
    assert {row["board"] for row in figures["rows"]} == {"pi", "jetson", "all boards"}


def test_records_survive_their_file(experiment: Experiment, tmp_path: Path) -> None:
    run(experiment.model_copy(update={"seeds": 1, "policies": experiment.policies[:1]}), tmp_path)
    cells: Cells = read_records(tmp_path).cells
    assert cells.energy_j.shape == (2 * 2 * 3, 24)
    assert cells.missed.dtype == np.bool_
    assert (cells.energy_j > 0).all()
