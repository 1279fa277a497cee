"""The lines that a datasheet documents: they load the tables, and recompute what this program says of a run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from results import Run, summary
from results.dataset import recompute
from results.dataset.card import LOADING, read_front_matter
from results.dataset.folder import read_facts

Places = dict[tuple[str, str, str], Any]


def figures_of(runs: list[Path], phase: str) -> dict[str, Places]:
    """figure -> (place of the run in `runs`, environment, policy) -> value, as `testbed show --json` gives it."""
    rows = [(str(number), row) for number, path in enumerate(runs) for row in summary(Run.read(path))]
    return {
        figure: {(n, row["environment"], row["policy"]): row[figure] for n, row in rows if row["phase"] == phase}
        for figure in recompute.FIGURES
    }


def asked(query: str, runs: dict[str, str]) -> Places:
    """Values by the same keys."""
    rows = duckdb.sql(query).fetchall()
    return {(runs[run], environment, policy): value for run, _, environment, policy, value in rows}


def same(found: Places, expected: Places) -> bool:
    """As near as the order of a sum allows; None is None."""
    return found.keys() == expected.keys() and all(
        found[place] == (value if value is None or isinstance(value, dict) else pytest.approx(value, rel=1e-12))
        for place, value in expected.items()
    )


def numbered(inside: Path) -> dict[str, str]:
    """run id -> its place in the fixture `runs`: the longer first."""
    sizes = Counter(path.split("/run=")[1].split("/")[0] for path in read_facts(inside).files if "/run=" in path)
    rows = dict(duckdb.sql("SELECT run, trials FROM 'runs/*.parquet'").fetchall())
    return {run: str(place) for place, run in enumerate(sorted(sizes, key=lambda run: -rows[run]))}


@pytest.mark.parametrize("figure", recompute.FIGURES)
def test_each_figure_is_one_line(figure: str, inside: Path, runs: list[Path]) -> None:
    assert recompute.line(figure) in (inside / "README.md").read_text()
    expected = figures_of(runs, "all")[figure]
    assert any(expected.values()) or figure == "frame_energy_j"
    assert same(asked(recompute.line(figure), numbered(inside)), expected)


@pytest.mark.parametrize("figure", sorted(recompute.FIGURES.keys() - {"efficiency"}))  # over all trials of the baseline
def test_so_is_each_figure_of_what_was_learnt(figure: str, inside: Path, runs: list[Path]) -> None:
    expected = figures_of(runs, "last half")[figure]
    found = asked(recompute.line_of_last_half(figure), numbered(inside))
    assert same({place: found[place] for place in expected}, expected)


def test_the_line_for_intervals_yields_all_of_it(inside: Path, runs: list[Path]) -> None:
    (line,) = re.findall(r"^from results\.dataset import read_run.*$", (inside / "README.md").read_text(), re.MULTILINE)
    *imports, expression = line.split("; ")
    names: dict[str, Any] = {}
    exec("; ".join(imports), names)
    place = numbered(inside)[re.findall(r'"\.", "(.*?)"', expression)[0]]
    assert eval(expression, names) == summary(Run.read(runs[int(place)]))


@pytest.mark.parametrize("library", LOADING)
def test_each_library_loads_the_trials_with_the_line_given(library: str, inside: Path) -> None:
    assert LOADING[library] in (inside / "README.md").read_text()
    names: dict[str, Any] = {}
    exec(LOADING[library], names)
    trials = names["trials"]
    energies = trials.fetchall() if library == "DuckDB" else trials
    assert len(energies) == 52
    columns = trials.columns
    assert {"run", "board", "energy_j", "latencies_s"} <= set(columns)
    if library != "DuckDB":
        assert set(trials["board"]) == {"virtual-jetson-agx-orin", "virtual-raspberry-pi-5"}
        assert sum(len(each) for each in trials["latencies_s"]) == 51 * 4  # one trial was lost


def test_the_card_leads_hugging_face_to_every_table(inside: Path) -> None:
    front = read_front_matter(inside / "README.md")
    assert front["license"] == "cc-by-4.0"
    found = {config["config_name"]: list(inside.glob(config["data_files"])) for config in front["configs"]}
    assert {name: len(files) for name, files in found.items()} == {"trials": 2, "runs": 1, "blocks": 2, "samples": 2}
    assert [config["config_name"] for config in front["configs"] if config.get("default")] == ["trials"]
