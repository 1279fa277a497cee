"""The arena's tables on the screen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from results.arena import ArenaRecords
from results.arena.analysis import ArenaAnalysis, Behind, Row
from results.arena.paper import FIGURES, OURS, PaperFigure
from results.formats import DASH
from results.names import BASELINE, policy_name
from results.statistics import Estimate


def overall_table(records: ArenaRecords, analysis: ArenaAnalysis, board: str) -> Table:
    """Every policy on one board, over all its cells; the last half of each cell's trials."""
    table = _table(f"{board}: the last half of each cell's trials", records.header.caution([board]))
    table.add_column("", no_wrap=True)
    for heading in ("vs CPU FP32", "QoS missed", "gap to Opt", "within 5 %", "as Opt", "trials to 5 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for policy in analysis.policies:
        if row := analysis.row(board, policy):
            table.add_row(*_figures(row))
    return table


def _figures(row: Row) -> tuple[str, ...]:
    return (
        policy_name(row.policy),
        times(row.over.get(BASELINE)),
        percent(row.qos_missed),
        percent(row.gap),
        f"{100 * row.near_5.value:.1f} %",
        f"{100 * row.exact.value:.1f} %",
        trials(row.settled_after),
    )


def paper_table(records: ArenaRecords, analysis: ArenaAnalysis, board: str) -> Table | None:
    """The paper's figures beside ours; None where nothing of it was in the arena."""
    policies = [policy for policy in OURS if policy in analysis.policies]
    if not policies:
        return None
    table = _table(f"{board}: beside the paper", records.header.caution([board]))
    table.add_column("")
    table.add_column("paper (three phones)", justify="right")
    for policy in policies:
        table.add_column(policy_name(policy), justify="right")
    for figure in FIGURES:
        ours = (_ours(figure, analysis.row(board, policy)) for policy in policies)
        table.add_row(figure.name, f"{figure.paper} ({figure.mark})", *ours)
    return table


def _ours(figure: PaperFigure, row: Row | None) -> str:
    if row is None:
        return DASH
    estimate = figure.ours(row)
    if estimate is None:
        return DASH
    return {"times": times, "percent": percent, "trials": trials}[figure.unit](estimate)


def shift_table(records: ArenaRecords, analysis: ArenaAnalysis) -> Table:
    """How policies take a change of the world."""
    table = _table("after a shift", records.header.caution(analysis.boards))
    for heading in ("board", "drift", ""):
        table.add_column(heading, no_wrap=True)
    for heading in ("near Opt again after", "never", "gap", "QoS missed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for shift in analysis.shifts:
        table.add_row(
            *(shift.board, shift.drift, policy_name(shift.policy)),
            trials(shift.adapted_after),
            f"{100 * shift.never:.0f} %",
            percent(shift.gap_after),
            percent(shift.qos_missed_after),
        )
    return table


def behind_table(records: ArenaRecords, lost: Sequence[Behind]) -> Table:
    """Cells in which the better policy is not the better."""
    table = _table(
        "cells in which Bayesian spends more than AutoScale", records.header.caution([b.board for b in lost])
    )
    for heading in ("board", "workload", "environment"):
        table.add_column(heading, no_wrap=True)
    for heading in ("energy ratio", "QoS missed", "AutoScale's"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in lost:
        missed = f"{100 * each.missed:.1f} %", f"{100 * each.other_missed:.1f} %"
        table.add_row(each.board, each.workload, each.environment, times(each.ratio), *missed)
    return table


def _table(title: str, caution: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caution,
        caption_style="yellow",
        box=SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
    )


def times(estimate: Estimate | None) -> str:
    """A ratio with half the width of its interval."""
    return DASH if estimate is None else _with_width(estimate, 1.0, "x")


def percent(estimate: Estimate | None) -> str:
    """A share or a relative difference."""
    return DASH if estimate is None else _with_width(estimate, 100.0, " %")


def trials(estimate: Estimate) -> str:
    """A median number of trials, and the upper end of its interval."""
    if math.isinf(estimate.value):
        return "never"
    if estimate.high is None:
        return f"{estimate.value:.0f}"
    return f"{estimate.value:.0f} (≤ {'never' if math.isinf(estimate.high) else format(estimate.high, '.0f')})"


def _with_width(estimate: Estimate, scale: float, unit: str) -> str:
    value = scale * estimate.value
    digits = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return digits + unit
    width = scale * (estimate.high - estimate.low) / 2
    return f"{digits} ± {width:.1g}{unit}" if width < 9.5 else f"{digits} ± {width:.0f}{unit}"
