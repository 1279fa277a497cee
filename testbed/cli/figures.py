"""`testbed show`, `report` and `timeline`: what a run found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from results import Health, Run, health, summary, write_comparison, write_report, write_timeline
from results.gates import judge_levels
from testbed.cli.compare import FailIf, Policies, leave_by, plain_judgement, require_policies, show_judgements
from testbed.cli.screen import SCREEN, UNHEALTHY, AsJson, RunFolder, print_json
from testbed.cli.tables import summary_table


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the others are held against the first.")],
    out: Annotated[
        Path | None, typer.Option(help="The file. Default: report.html in the run folder; of several, comparison.html.")
    ] = None,
) -> None:
    """Write the report of a run, finished or not; or of several, against each other."""
    if len(runs) == 1:
        write_report_of(Run.read(runs[0]), out)
        return
    path = out or Path("comparison.html")
    write_comparison([Run.read(run) for run in runs], path)
    SCREEN.print(f"report: {path}", soft_wrap=True, markup=False)


def show(run: RunFolder, policies: Policies = None, fail_if: FailIf = None, as_json: AsJson = False) -> None:
    """Print a run's figures; judge them by conditions. Exit status 4: more trials were tagged than the suite takes."""
    for gate in fail_if or []:
        if gate.of_change:
            raise typer.BadParameter(
                f"'{gate.text}' is a change: hold two runs against each other with testbed compare"
            )
    read = Run.read(run)
    rows = summary(read)
    require_policies(policies or [], list(dict.fromkeys(str(row["policy"]) for row in rows)))
    judgements = judge_levels(fail_if or [], read, policies or [])
    rows = [row for row in rows if not policies or row["policy"] in policies]
    if as_json:
        header = read.header
        progress: dict[str, Any] = {"trials": len(read.trials), "planned": len(read.plan), "complete": read.complete}
        progress |= {"health": _plain(health(read))}
        lost = [{"trial": trial.index, "note": trial.note} for trial in read.trials if trial.outcome == "lost"]
        judged = {"conditions": [plain_judgement(judgement) for judgement in judgements]} if fail_if else {}
        about = {"provenance": header.provenance, "labels": list(header.labels), **progress, "lost": lost}
        print_json({**about, "rows": rows, **judged})
    else:
        show_figures(read, rows)
        show_judgements(judgements)
    leave_by(judgements)
    require_health(read)


def require_health(run: Run) -> None:
    """Exit with a status of its own where too many trials were tagged."""
    if (found := health(run)) is not None and not found.passed:
        raise typer.Exit(UNHEALTHY)


def _plain(found: Health | None) -> dict[str, Any] | None:
    return None if found is None else {**asdict(found), "passed": found.passed}


def timeline(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(help="The file. Default: timeline.perfetto.json in the run folder.")
    ] = None,
) -> None:
    """Write a run for ui.perfetto.dev: power, inferences, conditions, decisions, temperature on one time axis."""
    path = out or run / "timeline.perfetto.json"
    write_timeline(Run.read(run), path)
    SCREEN.print(f"timeline: {path}", soft_wrap=True, markup=False)


def show_figures(run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
    """The table, with what is to be known before it is read."""
    if not run.complete:
        SCREEN.print(f"{len(run.trials)} of {len(run.plan)} trials; the run is not complete", style="yellow")
    for trial in run.trials:
        if trial.outcome == "lost":
            SCREEN.print(f"trial {trial.index} was lost: {trial.note}", style="yellow", markup=False, soft_wrap=True)
    SCREEN.print(summary_table(rows, run.header.caution, SCREEN.width))
    for label in run.header.labels:
        SCREEN.print(label, markup=False)
    if (found := health(run)) is not None and found.tagged:
        SCREEN.print(str(found), style="yellow" if found.passed else "red", markup=False, soft_wrap=True)


def write_report_of(run: Run, out: Path | None = None) -> None:
    """And tell where it is."""
    path = out or run.path / "report.html"
    write_report(run, path)
    SCREEN.print(f"report: {path}", soft_wrap=True, markup=False)
