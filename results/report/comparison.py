"""Runs against each other as one HTML page: the first is what the others are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from results.analysis import Analysis, analyse
from results.comparison import Comparison, compare
from results.page import drawn, render_page, write_text
from results.quality import QualityOfRun, assess
from results.report import drawings
from results.report.glance import at_a_glance
from results.run import Run

MOST_DRAWN = 60
"""changes of a figure; the table has all"""


@dataclass(frozen=True, slots=True)
class Side:
    """One run of those compared."""

    run: Run
    name: str
    glance: dict[str, str]
    analysis: Analysis
    quality: QualityOfRun


@dataclass(frozen=True, slots=True)
class Against:
    """One run held against the first."""

    side: Side
    comparison: Comparison
    drawing: Markup | None


def write_comparison(runs: Sequence[Run], path: Path) -> None:
    """Of two runs or more; writes the page to `path`, whole or not at all."""
    write_text(path, render_comparison(runs))


def render_comparison(runs: Sequence[Run]) -> str:
    """The page."""
    sides = [
        Side(run, f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[number % 26]}", at_a_glance(run), analyse(run), assess(run))
        for number, run in enumerate(runs)
    ]
    others = [_against(sides[0], side) for side in sides[1:]]
    return render_page(
        "comparison.html.j2",
        sides=sides,
        others=others,
        caution=next((caution for side in sides if (caution := side.run.header.caution)), None),
    )


def _against(first: Side, other: Side) -> Against:
    comparison = compare([(first.run, other.run)])
    shown = [change for change in comparison.changes if change.energy and change.phase == "all"][:MOST_DRAWN]
    says = f"Energy of run {other.name} over that of run {first.name}, by workload, environment and policy"
    drawing = drawn(drawings.changes(shown), f"changes-{other.name}", says) if shown else None
    return Against(other, comparison, drawing)
