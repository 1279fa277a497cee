"""`testbed compare`, and the conditions by which `compare` and `show` end with a status of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from results import Run
from results.comparison import Change, Comparison, OverallChange, compare
from results.formats import change, change_interval, points, points_interval
from results.gates import Gate, GateError, Judgement, judge_changes
from results.names import row_name
from testbed.cli.screen import ERRORS, SCREEN, print_json

GATE_FAILED = 3
"""exit status where a condition of --fail-if fails"""
_STYLE = {"fails": "red", "holds": "green", "undecided": "yellow", "not judged": "yellow"}


def gate(text: str | Gate) -> Gate:
    """A parser of conditions."""
    if isinstance(text, Gate):
        return text
    try:
        return Gate.read(text)
    except GateError as error:
        raise typer.BadParameter(str(error)) from None


FailIf = Annotated[
    list[Gate] | None,
    typer.Option(
        "--fail-if",
        parser=gate,
        metavar="CONDITION",
        help=f"End with status {GATE_FAILED} where its whole interval lies beyond. Several are judged together.",
    ),
]
Policies = Annotated[
    list[str] | None, typer.Option("--policy", metavar="NAME", help="Only this policy; may be given several times.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def compare_(
    runs: Annotated[list[Path], typer.Argument(help="Run folders: before, after; again for more pairs (seeds).")],
    policies: Policies = None,
    fail_if: FailIf = None,
    as_json: AsJson = False,
) -> None:
    """Say what changed from one run to another, with intervals; of several pairs what changed in all of them."""
    if len(runs) < 2 or len(runs) % 2:
        raise typer.BadParameter("give pairs of runs: BEFORE AFTER, or BEFORE1 AFTER1 BEFORE2 AFTER2 ...")
    gates = fail_if or []
    for each in gates:
        if not each.of_change:
            raise typer.BadParameter(f"'{each.text}' is no change: write the bound with a sign, like {each.metric}>+5%")
    read = [Run.read(path) for path in runs]
    comparison = compare(list(zip(read[::2], read[1::2], strict=True)))
    require_policies(policies or [], comparison.policies)
    judgements = judge_changes(gates, comparison, policies or [])
    if as_json:
        print_json(_plain(comparison, judgements))
    else:
        _show(comparison, policies or [])
        show_judgements(judgements)
    leave_by(judgements)


def require_policies(wanted: Sequence[str], known: Sequence[str]) -> None:
    """Raises BadParameter for a policy that the runs do not have."""
    if missing := [name for name in wanted if name not in known]:
        raise typer.BadParameter(f"there is no policy {', '.join(missing)} in the runs; there are: {', '.join(known)}")


def show_judgements(judgements: Sequence[Judgement]) -> None:
    """One line each, on stderr where a figure would be piped away from it."""
    for judgement in judgements:
        ERRORS.print(str(judgement), markup=False, style=_STYLE[judgement.verdict])


def leave_by(judgements: Sequence[Judgement]) -> None:
    """Raises the Exit that a failed condition asks for."""
    if any(judgement.verdict == "fails" for judgement in judgements):
        raise typer.Exit(GATE_FAILED)


def plain_judgement(judgement: Judgement) -> dict[str, Any]:
    """For JSON."""
    return {
        "condition": judgement.gate.text,
        "where": judgement.where,
        **asdict(judgement.estimate),
        "verdict": judgement.verdict,
    }


def _show(comparison: Comparison, policies: Sequence[str]) -> None:
    caption = "\n".join(_notes(comparison))
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, caption=caption, caption_style="yellow")
    table.add_column("", no_wrap=True)
    for heading in ("energy", "median latency", "QoS violations"):
        table.add_column(heading, justify="right")
    places = dict.fromkeys((each.workload, each.environment) for each in comparison.changes)
    for workload, environment in places:
        table.add_section()
        table.add_row(Text(f"{workload}, {environment}", style="bold"))
        for each in comparison.changes:
            if (each.workload, each.environment) == (workload, environment) and _wanted(each, policies):
                table.add_row(*_figures(each))
    table.add_section()
    table.add_row(Text("over all places", style="bold"))
    for whole in comparison.overall:
        if _wanted(whole, policies):
            table.add_row(*_figures(whole))
    SCREEN.print(table)


def _wanted(each: Change | OverallChange, policies: Sequence[str]) -> bool:
    return not policies or each.policy in policies


def _figures(each: Change | OverallChange) -> tuple[str, ...]:
    return (
        f"  {row_name(each.policy, each.phase)}",
        _with(change(each.energy), change_interval(each.energy)),
        _with(change(each.latency), change_interval(each.latency)),
        _with(points(each.qos_missed), points_interval(each.qos_missed)),
    )


def _with(figure: str, interval: str) -> str:
    return f"{figure} ({interval})" if interval else figure


def _notes(comparison: Comparison) -> list[str]:
    notes = [] if comparison.caution is None else [comparison.caution]
    if len(comparison.pairs) > 1:
        notes.append(f"{len(comparison.pairs)} pairs of runs; 95 % intervals over the pairs")
    elif comparison.paired:
        notes.append("95 % intervals over blocks, which both runs made under the same plan")
    else:
        notes.append("95 % intervals over blocks")
    if comparison.alone:
        notes.append(f"{len(comparison.alone)} cells are in one of the runs only, and compared with nothing")
    return notes


def _plain(comparison: Comparison, judgements: Sequence[Judgement]) -> dict[str, Any]:
    return {
        "caution": comparison.caution,
        "pairs": [[str(run.path) for run in pair] for pair in comparison.pairs],
        "paired": comparison.paired,
        "changes": [asdict(each) for each in comparison.changes],
        "overall": [asdict(each) for each in comparison.overall],
        "alone": [list(key) for key in comparison.alone],
        "conditions": [plain_judgement(judgement) for judgement in judgements],
    }
