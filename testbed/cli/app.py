"""Commands, and what their failures look like: one message on stderr, an exit status, no traceback."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import click
import typer
from power import PowerError
from results import Run, StoreError, summary, write_report
from rich.console import Console
from rich.logging import RichHandler
from scheduler.policies import PolicyError

from testbed import experiment
from testbed.cli.progress import RunDisplay
from testbed.cli.tables import show_findings, summary_table
from testbed.config import Suite, bench_schema, load_bench, load_suite
from testbed.doctor import examine
from testbed.errors import TestbedError

FAILED, USAGE, INTERRUPTED = 1, 2, 130
_EXPECTED = (TestbedError, PowerError, StoreError, PolicyError)

app = typer.Typer(
    help="Measures, models and minimises the energy of DNN inference on Jetson and Raspberry Pi boards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_errors = Console(stderr=True, soft_wrap=True, highlight=False)
_screen = Console(highlight=False)

BenchFile = Annotated[Path, typer.Option("--bench", help="The bench file: everything on the table.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, as `testbed run` makes it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=_errors, show_time=False, show_path=False)],
    )
    try:
        result = app(list(arguments), standalone_mode=False)
    except click.ClickException as error:
        error.show(sys.stderr)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except _EXPECTED as error:
        _errors.print(f"error: {error}", markup=False, style="red")
        return FAILED
    except OSError as error:
        _errors.print(f"error: {error.filename or ''}: {error.strerror or error}", markup=False, style="red")
        return FAILED
    return result if isinstance(result, int) else 0


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@app.command()
def run(
    suite: Annotated[Path | None, typer.Argument(help="The suite file: what to do.")] = None,
    bench: Annotated[Path | None, typer.Option("--bench", help="The bench file: everything on the table.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. Default 1.", min=0)] = None,
    out: Annotated[Path | None, typer.Option(help="Where the run folder is made. Default: runs.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Finish the run in this folder instead.")] = None,
) -> int:
    """Run a suite on a bench, or finish a run that broke off."""
    with RunDisplay(_screen) as display:
        try:
            if resume is not None:
                if suite is not None or bench is not None or seed is not None or out is not None:
                    raise click.UsageError("--resume takes everything from the run folder; give nothing beside it")
                folder = experiment.resume(resume, display)
            else:
                if suite is None or bench is None:
                    raise click.UsageError("give a suite and a bench (testbed run SUITE --bench BENCH), or --resume RUN")
                loaded = load_bench(bench), load_suite(suite)
                folder = experiment.start(*loaded, 1 if seed is None else seed, out or Path("runs"), display)
        except KeyboardInterrupt:
            display.close()
            _errors.print(f"interrupted. {display.kept()}", markup=False)
            return INTERRUPTED
        except _EXPECTED:
            display.close()
            if kept := display.kept():
                _errors.print(kept, markup=False)
            raise
    finished = Run.read(folder)
    _screen.print(summary_table(summary(finished), finished.header.caution))
    _screen.print(f"report: {write_report(finished)}", soft_wrap=True, markup=False)
    return 0


@app.command()
def report(run: RunFolder) -> None:
    """Write the run's report.html anew, of a finished run or of what there is."""
    _screen.print(f"report: {write_report(Run.read(run))}", soft_wrap=True, markup=False)


@app.command()
def show(run: RunFolder, as_json: AsJson = False) -> None:
    """Print a run's figures."""
    read = Run.read(run)
    header, rows = read.header, summary(read)
    if as_json:
        progress = {"trials": len(read.trials), "planned": len(read.plan), "complete": read.complete}
        _print_json({"provenance": header.provenance, "labels": list(header.labels), **progress, "rows": rows})
    else:
        _screen.print(summary_table(rows, header.caution))


@app.command()
def doctor(bench: BenchFile, as_json: AsJson = False) -> int:
    """Look a bench over: wiring, ports, the board's agent, clocks, the meter's samples, endpoints."""
    if as_json:
        findings = list(examine(load_bench(bench)))
        _print_json({"findings": [finding.as_json() for finding in findings]})
    else:
        findings = show_findings(_screen, examine(load_bench(bench)))
    return FAILED if any(finding.verdict == "wrong" for finding in findings) else 0


@app.command()
def schema(of: Annotated[str, typer.Argument(help="bench or suite", click_type=click.Choice(["bench", "suite"]))]) -> None:
    """Print the JSON Schema of bench or suite files, for editors."""
    model = bench_schema() if of == "bench" else Suite
    _print_json(model.model_json_schema())


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
