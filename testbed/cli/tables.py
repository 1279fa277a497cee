"""Tables on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from testbed.finding import Finding

_STYLE = {"ok": "green", "doubtful": "yellow", "wrong": "red"}
_UNKNOWN = "-"


_NARROW = 104
"""columns of a screen below which intervals and picks are left out, so that no figure is cut"""


def summary_table(rows: Sequence[Mapping[str, Any]], caution: str | None, width: int) -> Table:
    """A run's figures: a section for each workload and environment. `caution` is said under the table."""
    notes = "\n".join(_notes(rows, caution)) or None
    table = Table(box=SIMPLE_HEAD, caption=notes, caption_style="yellow", header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("trials", "mJ each", "median ms", "vs CPU FP32", "QoS missed", "as Opt"):
        table.add_column(heading, justify="right", no_wrap=width >= _NARROW)
    if width >= _NARROW:
        table.add_column("mostly picks", no_wrap=True)
    before: tuple[str, str] | None = None
    for row in rows:
        cell = row["workload"], row["environment"]
        if cell != before:
            table.add_section()
            table.add_row(Text(f"{cell[0]}, {cell[1]}", style="bold"))
        table.add_row(*_figures(row, width))
        before = cell
    return table


def _notes(rows: Sequence[Mapping[str, Any]], caution: str | None) -> Iterator[str]:
    if caution is not None:
        yield caution
    if strayed := sum(row["strayed"] for row in rows if row["phase"] == "all"):
        yield f"{strayed} trials were off the condition asked for; the report says how"
    if any(row["radio_penalty_j"] is not None for row in rows):
        yield "emulated link: the radio's power at a weak signal is not in the energy; the report has a modelled column"


def _figures(row: Mapping[str, Any], width: int) -> list[str]:
    phase = "" if row["phase"] == "all" else f", {row['phase']}"
    latency_s = row["median_latency_s"]
    figures = [
        f"  {row['policy_name']}{phase}",
        str(row["trials"]),
        _energy(row),
        _UNKNOWN if latency_s is None else f"{latency_s * 1e3:.3g}",
        _times(row["efficiency"], row["efficiency_low"], row["efficiency_high"]),
        _percent(row["qos_violations"]),
        _percent(row["agreement"]),
    ]
    if width < _NARROW:
        return [figures[0], *(figure.partition(" (")[0] for figure in figures[1:])]
    return [*figures, max(row["decisions"].items(), key=lambda item: item[1], default=(_UNKNOWN, 0))[0]]


def _energy(row: Mapping[str, Any]) -> str:
    energy_j, low_j, high_j = row["energy_j"], row["energy_low_j"], row["energy_high_j"]
    if energy_j is None:
        return "no answer" if row["failed"] == row["trials"] else "not measured"
    if low_j is None or high_j is None:
        return f"{energy_j * 1e3:.4g}"
    return f"{energy_j * 1e3:.4g} ({low_j * 1e3:.3g}-{high_j * 1e3:.3g})"


def _times(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return _UNKNOWN
    if low is None or high is None or low == high:
        return f"{value:.3g}x"
    return f"{value:.3g}x ({low:.3g}-{high:.3g})"


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{share * 100:.0f} %"


def show_findings(console: Console, findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as it comes; returns them all."""
    shown = []
    for finding in findings:
        console.print(f"[{_STYLE[finding.verdict]}]{finding.verdict:>8}[/]  {finding.what}: ", end="")
        console.print(finding.detail, markup=False, soft_wrap=True)
        shown.append(finding)
    return shown
