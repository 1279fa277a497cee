"""A run as one HTML page that needs nothing but a browser: plotly.js is inside, no address is ever fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from results import figures, names
from results.analysis import NEAR_OPT, Analysis, Overall, Row, analyse
from results.learning import SPAN, Curve, learning_curves
from results.page import drawn, render_page, write_text
from results.quality import assess, judged
from results.records import TrialRecord
from results.run import Run


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing of a figure, with its heading."""

    title: str
    drawing: Markup


@dataclass(frozen=True, slots=True)
class Grid:
    """One workload's rows laid out as policies by environments; None where there were no trials."""

    workload: str
    lines: tuple[tuple[str, tuple[Row | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """The power trace of one trial."""

    trial: TrialRecord
    drawing: Markup


def write_report(run: Run, path: Path) -> None:
    """Writes the page to `path`, whole or not at all. Raises `StoreFull` when there is no space."""
    write_text(path, render(run))


def render(run: Run) -> str:
    """The page, of a finished run or of what is durable of an unfinished one."""
    analysis = analyse(run)
    curves = learning_curves(run, analysis)
    quality = assess(run)
    return render_page(
        "report.html.j2",
        BASELINE=names.BASELINE,
        NEAR_OPT=NEAR_OPT,
        SPAN=SPAN,
        run=run,
        header=run.header,
        caution=run.header.caution,
        analysis=analysis,
        headlines=_headlines(analysis),
        legends=_legends(analysis),
        efficiency=_efficiency_panels(analysis),
        grids=_grids(analysis),
        decisions=_decision_panels(analysis),
        learning=_learning_panels(curves),
        measured=any(row.energy_j for row in analysis.rows),
        truth_known=any(row.gap_to_opt is not None for row in analysis.rows),
        penalised=any(row.radio_penalty_j is not None for row in analysis.rows),
        streams=any(row.frame_energy_j is not None for row in analysis.rows),
        trace=_trace(run, analysis),
        quality=quality,
        truth_drawing=drawn(figures.truth_errors(judged(run)), "truth") if quality.truth else None,
        facts=_facts(run),
    )


def _headlines(analysis: Analysis) -> list[Overall]:
    """The learned half of each learning policy, or all of it where it is too short to halve."""
    last = {overall.policy: overall for overall in analysis.overall if overall.policy in analysis.learners}
    return list(last.values())


def _legends(analysis: Analysis) -> dict[str, list[tuple[str, str]]]:
    """What is coloured -> names with their colours."""
    kinds = [(overall.policy, overall.phase) for overall in analysis.overall if overall.policy != names.BASELINE]
    decisions = {decision for row in _choosing(analysis) for decision in row.quality.decisions}
    return {
        "policies": [(names.row_name(*kind), names.row_colour(*kind)) for kind in kinds],
        "targets": [(name, names.target_colour(name)) for name in sorted(decisions, key=names.decision_order)],
        "environments": [(name, names.environment_colour(name)) for name in analysis.environments],
    }


def _efficiency_panels(analysis: Analysis) -> list[Panel]:
    panels = []
    for number, workload in enumerate(analysis.workloads):
        rows = [row for row in analysis.rows if row.workload == workload and row.policy != names.BASELINE]
        if any(row.efficiency for row in rows):
            figure = figures.efficiency(rows, analysis.environments)
            panels.append(Panel(workload, drawn(figure, f"efficiency-{number}")))
    return panels


def _grids(analysis: Analysis) -> list[Grid]:
    rows = {(row.workload, row.environment, row.policy, row.phase): row for row in analysis.rows}
    return [
        Grid(
            workload,
            tuple(
                (
                    names.row_name(kind.policy, kind.phase),
                    tuple(rows.get((workload, place, kind.policy, kind.phase)) for place in analysis.environments),
                )
                for kind in analysis.overall
            ),
        )
        for workload in analysis.workloads
    ]


def _choosing(analysis: Analysis) -> list[Row]:
    """Rows of the policies that did not always decide the same."""
    choosing = {whole.policy for whole in analysis.overall if whole.phase == "all" and len(whole.quality.decisions) > 1}
    return [row for row in analysis.rows if row.policy in choosing]


def _decision_panels(analysis: Analysis) -> list[Panel]:
    panels = []
    for number, workload in enumerate(analysis.workloads):
        rows = [row for row in _choosing(analysis) if row.workload == workload]
        if rows:
            panels.append(Panel(workload, drawn(figures.decisions(rows), f"decisions-{number}")))
    return panels


def _learning_panels(curves: Sequence[Curve]) -> list[Panel]:
    panels = []
    for number, (workload, policy) in enumerate(dict.fromkeys((curve.workload, curve.policy) for curve in curves)):
        own = [curve for curve in curves if (curve.workload, curve.policy) == (workload, policy)]
        title = f"{workload}, {names.policy_name(policy)}"
        panels.append(Panel(title, drawn(figures.learning(own), f"learning-{number}")))
    return panels


def _trace(run: Run, analysis: Analysis) -> Trace | None:
    """The last measured trial of a learning policy that has samples, or else of any policy."""
    measured = [trial for trial in run.trials if trial.kind == "trial" and trial.energy and trial.outcome == "ok"]
    learned = [trial for trial in measured if trial.policy in analysis.learners]
    for trial in [*learned[-1:], *measured[-1:]]:
        samples = run.samples_of(trial.index)
        if len(samples):
            return Trace(trial, drawn(figures.power_trace(trial, samples), "trace"))
    return None


def _facts(run: Run) -> dict[str, str]:
    header = run.header
    facts = {"Bench": header.bench, "Suite": header.suite, "Versions": header.versions, "Host": header.host}
    return {name: json.dumps(fact, indent=2, ensure_ascii=False) for name, fact in facts.items()}
