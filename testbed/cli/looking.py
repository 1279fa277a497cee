"""`testbed doctor` and `schema`: what a bench is, and may be."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from testbed.arena.config import Experiment
from testbed.cli.screen import FAILED, SCREEN, AsJson, BenchFile, print_json
from testbed.cli.tables import show_findings
from testbed.config import Suite, bench_schema, load_bench
from testbed.doctor import examine


def doctor(bench: BenchFile, as_json: AsJson = False) -> None:
    """Look a bench over: wiring, ports, the board's agent, clocks, the meter's samples, endpoints."""
    if as_json:
        findings = list(examine(load_bench(bench)))
        print_json({"findings": [finding.as_json() for finding in findings]})
    else:
        findings = show_findings(SCREEN, examine(load_bench(bench)))
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(FAILED)


def schema(of: Annotated[Literal["bench", "suite", "arena"], typer.Argument(help="Which kind of file.")]) -> None:
    """Print the JSON Schema of bench, suite or arena files, for editors."""
    models: dict[str, type[BaseModel]] = {"bench": bench_schema(), "suite": Suite, "arena": Experiment}
    print_json(models[of].model_json_schema())
