"""`python -m bench [NAME ...]`: the testbed's figures, as a table and as bench.json."""

from __future__ import annotations

import importlib
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.figure import Figure

BENCHMARKS = (
    "energy_accuracy",
    "mark_accuracy",
    "decision_cost",
    "session_cost",
    "arena",
    "firmware_rates",
    "monsoon_decoding",
    "sustained_capture",
    "traces",
    "interval_coverage",
    "report_time",
    "live_cost",
    "link_changes",
    "board_control",
    "trace_playback",
    "power_model",
    "remote_round_trip",
    "serve_throughput",
    "datasets",
)
"""modules of this package with a function `figures()`"""
OUTPUT = Path("bench.json")


def main(names: Sequence[str]) -> int:
    """Run the benchmarks of these names, or all; returns the exit status: a goal that is missed is no failure."""
    console = Console(width=None if sys.stdout.isatty() else 130)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        console.print(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", markup=False)
        return 2
    figures: list[Figure] = []
    for name in names or BENCHMARKS:
        console.print(f"{name} ...", markup=False)
        figures.extend(importlib.import_module(f"bench.{name}").figures())
    console.print(_table(figures))
    OUTPUT.write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n", encoding="utf-8")
    console.print(f"{OUTPUT}: {len(figures)} figures, {platform.machine()}, Python {platform.python_version()}")
    return 0


def _table(figures: Sequence[Figure]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("figure", "value", "unit", "beside", "goal", "holds"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for figure in figures:
        value = "not measured" if figure.value is None else f"{figure.value:.4g}"
        holds = "" if figure.holds is None else "yes" if figure.holds else "NO"
        table.add_row(figure.name, value, figure.unit, figure.reference or "", figure.goal or "", holds)
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
