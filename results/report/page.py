"""A run as one HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from results import figures, names, samples
from results.analysis import NEAR_OPT, Analysis, Overall, Row, analyse
from results.learning import SPAN, Curve, learning_curves
from results.page import drawn, render_page, write_text
from results.quality import assess, judged
from results.records import TrialRecord
from results.report import drawings
from results.report.glance import at_a_glance, calibration_card
from results.report.history import History, history, representative
from results.report.requested import conditions, frequencies
from results.run import Run

STRETCH = 8
"""trials in a row whose power trace is shown"""
EXAMPLES = 4
"""trials whose power trace is shown by itself, one for each of the targets most chosen"""


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
class DecisionMap:
    """What one policy chose most often, workload by environment: (decision, share) or None."""

    policy: str
    lines: tuple[tuple[str, tuple[tuple[str, float] | None, ...]], ...]


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
    quality = assess(run)
    past = history(run)
    return render_page(
        "report.html.j2",
        BASELINE=names.BASELINE,
        NEAR_OPT=NEAR_OPT,
        SPAN=SPAN,
        run=run,
        header=run.header,
        caution=run.header.caution,
        glance=at_a_glance(run),
        analysis=analysis,
        headlines=_headlines(analysis),
        legends=_legends(analysis),
        efficiency=_efficiency_panels(analysis),
        energies=_place_panels(analysis, "energy"),
        latencies=_place_panels(analysis, "latency", run),
        grids=_grids(analysis),
        maps=_maps(analysis),
        decisions=_decision_panels(analysis),
        learning=_learning_panels(learning_curves(run, analysis)),
        measured=any(row.energy_j for row in analysis.rows),
        truth_known=any(row.gap_to_opt is not None for row in analysis.rows),
        penalised=any(row.radio_penalty_j is not None for row in analysis.rows),
        streams=any(row.frame_energy_j is not None for row in analysis.rows),
        heavy=any(row.median_energy_j for row in analysis.rows),
        stretch=_stretch(run),
        traces=_traces(run),
        frequencies=frequencies(run.trials),
        conditions=conditions(run.trials),
        past=past,
        past_drawings=_past_drawings(past),
        quality=quality,
        truth_drawing=_truth_drawing(run) if quality.truth else None,
        cards=[(calibration.says, calibration_card(calibration)) for calibration in run.header.calibrations],
        facts=_facts(run),
    )


def _headlines(analysis: Analysis) -> list[Overall]:
    """The learned half of each learning policy, or all of it where it is too short to halve."""
    last = {overall.policy: overall for overall in analysis.overall if overall.policy in analysis.learners}
    return list(last.values())


def _legends(analysis: Analysis) -> dict[str, list[tuple[str, str]]]:
    """What is coloured -> names with their colours."""
    kinds = [(overall.policy, overall.phase) for overall in analysis.overall]
    decisions = {decision for row in analysis.rows for decision in row.quality.decisions}
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
            says = (
                f"Energy efficiency over {names.policy_name(names.BASELINE)} of {workload}, by environment and policy"
            )
            panels.append(Panel(workload, drawn(figure, f"efficiency-{number}", says)))
    return panels


def _place_panels(analysis: Analysis, what: str, run: Run | None = None) -> list[Panel]:
    limits = {trial.workload: trial.qos_s for trial in run.trials} if run else {}
    panels = []
    for number, workload in enumerate(analysis.workloads):
        rows = [row for row in analysis.rows if row.workload == workload]
        if what == "energy":
            figure = drawings.by_place(rows, analysis.environments, lambda row: row.energy_j, "J per inference")
            says = f"Mean energy per inference of {workload}, by environment and policy"
        else:
            limit = limits[workload]
            figure = drawings.by_place(rows, analysis.environments, lambda row: row.latency_s, "s, median", limit)
            says = f"Median latency of {workload}, by environment and policy"
        if figure.data:
            panels.append(Panel(workload, drawn(figure, f"{what}-{number}", says)))
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


def _maps(analysis: Analysis) -> list[DecisionMap]:
    """Of the policies that did not always decide the same; of those that learn, once they have."""
    latest = {(row.policy, row.workload, row.environment): row for row in _choosing(analysis)}
    return [
        DecisionMap(
            policy,
            tuple(
                (workload, tuple(_favourite(latest.get((policy, workload, place))) for place in analysis.environments))
                for workload in analysis.workloads
            ),
        )
        for policy in dict.fromkeys(policy for policy, _, _ in latest)
    ]


def _favourite(row: Row | None) -> tuple[str, float] | None:
    if row is None or not row.quality.decisions:
        return None
    decision, count = max(row.quality.decisions.items(), key=lambda item: item[1])
    return decision, count / sum(row.quality.decisions.values())


def _decision_panels(analysis: Analysis) -> list[Panel]:
    panels = []
    for number, workload in enumerate(analysis.workloads):
        rows = [row for row in _choosing(analysis) if row.workload == workload]
        if rows:
            says = f"Share of decisions for each target in {workload}, by environment and policy"
            panels.append(Panel(workload, drawn(figures.decisions(rows), f"decisions-{number}", says)))
    return panels


def _learning_panels(curves: Sequence[Curve]) -> list[Panel]:
    panels = []
    for number, (workload, policy) in enumerate(dict.fromkeys((curve.workload, curve.policy) for curve in curves)):
        own = [curve for curve in curves if (curve.workload, curve.policy) == (workload, policy)]
        title = f"{workload}, {names.policy_name(policy)}"
        says = f"Learning curve of {title}: energy chosen, decision by decision, by environment"
        panels.append(Panel(title, drawn(figures.learning(own), f"learning-{number}", says)))
    return panels


def _stretch(run: Run) -> tuple[list[TrialRecord], Markup] | None:
    """The last measured trials in a row, all of one block, with their samples."""
    measured = [trial for trial in run.trials if trial.energy and trial.outcome == "ok"]
    if not measured:
        return None
    block = measured[-1].block
    trials = [trial for trial in run.trials[max(0, measured[-1].index + 1 - STRETCH) :] if trial.block == block]
    found = samples.select(run.path, len(run.trials), "trial", trials[0].index, trials[-1].index)
    if not len(found):
        return None
    says = f"Power while trials {trials[0].index} to {trials[-1].index} were made, the inference windows shaded"
    return trials, drawn(drawings.stretch(trials, found), "stretch", says)


def _traces(run: Run) -> list[Trace]:
    traces: list[Trace] = []
    for trial in representative(run.trials)[:EXAMPLES]:
        found = run.samples_of(trial.index)
        if len(found):
            says = f"Power during trial {trial.index}: {trial.n} times {trial.workload} on {trial.action}"
            traces.append(Trace(trial, drawn(figures.power_trace(trial, found), f"trace-{len(traces)}", says)))
    return traces


def _past_drawings(past: History) -> dict[str, Markup | None]:
    found = {
        "power": (past.power_w, drawings.power, "Mean power in the windows over the run"),
        "temperature": (past.temperature_c, drawings.temperature, "Temperature of the board over the run"),
        "present": (past.present, drawings.present, "Share of each window's samples that arrived, over the run"),
        "residuals": (past.residuals_s, drawings.residuals, "Residuals of the clocks' fits, block by block"),
    }
    return {name: drawn(draw(past), name, says) if known else None for name, (known, draw, says) in found.items()}


def _truth_drawing(run: Run) -> Markup:
    says = "Histogram of the errors of measured energies, in standard uncertainties"
    return drawn(figures.truth_errors(judged(run)), "truth", says)


def _facts(run: Run) -> dict[str, str]:
    header = run.header
    facts = {"Bench": header.bench, "Suite": header.suite, "Versions": header.versions, "Host": header.host}
    return {name: json.dumps(fact, indent=2, ensure_ascii=False) for name, fact in facts.items()}
