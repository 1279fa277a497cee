"""Tables on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from testbed.doctor import Finding

_STYLE = {"ok": "green", "doubtful": "yellow", "wrong": "red"}
_UNKNOWN = "–"


def summary_table(rows: Sequence[Mapping[str, Any]], caution: str | None) -> Table:
    """A run's figures: a section for each workload and environment. `caution` is said under the table."""
    table = Table(caption=caution, caption_style="yellow", header_style="bold", pad_edge=False)
    table.add_column("workload")
    table.add_column("env.")
    table.add_column("policy")
    for heading in ("trials", "energy mJ", "efficiency", "QoS missed", "gap to Opt", "as Opt"):
        table.add_column(heading, justify="right")
    table.add_column("mostly picks")
    before: tuple[str, str] | None = None
    for row in rows:
        cell = row["workload"], row["environment"]
        if before is not None and cell != before:
            table.add_section()
        table.add_row(*(cell if cell != before else ("", "")), *_figures(row))
        before = cell
    return table


def _figures(row: Mapping[str, Any]) -> tuple[str, ...]:
    phase = "" if row["phase"] == "all" else f" ({row['phase']})"
    picked = max(row["decisions"].items(), key=lambda item: item[1], default=(_UNKNOWN, 0))[0]
    return (
        f"{row['policy_name']}{phase}",
        str(row["trials"]),
        _with_interval(row["energy_j"], row["energy_low_j"], row["energy_high_j"], 1e3),
        _with_interval(row["efficiency"], row["efficiency_low"], row["efficiency_high"], 1.0),
        _percent(row["qos_violations"]),
        _percent(row["gap_to_opt"]),
        _percent(row["agreement"]),
        picked,
    )


def _with_interval(value: float | None, low: float | None, high: float | None, scale: float) -> str:
    if value is None:
        return "not measured" if scale != 1.0 else _UNKNOWN
    if low is None or high is None:
        return f"{value * scale:.3g}"
    return f"{value * scale:.3g} ± {(high - low) / 2 * scale:.1g}"


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{share * 100:.1f} %"


def show_findings(console: Console, findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as it comes; returns them all."""
    shown = []
    for finding in findings:
        console.print(f"[{_STYLE[finding.verdict]}]{finding.verdict:>8}[/]  {finding.what}: ", end="")
        console.print(finding.detail, markup=False, soft_wrap=True)
        shown.append(finding)
    return shown
