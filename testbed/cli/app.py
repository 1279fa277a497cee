"""Commands, and what their failures look like: one message on stderr, an exit status, no traceback."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.logging import RichHandler

from power import PowerError
from results import Run, StoreError, summary, write_comparison, write_report, write_timeline
from results.dataset import require_free
from results.gates import judge_levels
from scheduler.policies import PolicyError
from testbed import experiment
from testbed.arena.config import Experiment
from testbed.cli.agent import agent
from testbed.cli.arena import arena
from testbed.cli.board import board
from testbed.cli.compare import FailIf, Policies, compare_, leave_by, plain_judgement, require_policies, show_judgements
from testbed.cli.dataset import Creators, License, Name, ToCsv, ToFolder, dataset, export, write_dataset
from testbed.cli.live_page import live
from testbed.cli.models import models
from testbed.cli.monitor import monitor
from testbed.cli.net import net
from testbed.cli.progress import RunDisplay
from testbed.cli.serve import serve
from testbed.cli.tables import show_findings, summary_table
from testbed.config import Suite, bench_schema, load_bench, load_suite
from testbed.doctor import examine
from testbed.errors import TestbedError

FAILED, INTERRUPTED = 1, 130
_EXPECTED = (TestbedError, PowerError, StoreError, PolicyError)

app = typer.Typer(
    help="Measures, models and minimises the energy of DNN inference on Jetson and Raspberry Pi boards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_errors = Console(stderr=True, soft_wrap=True, highlight=False)
_PIPE_COLUMNS = 120
"""width of what goes to a file or a pipe"""
_screen = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)

BenchFile = Annotated[Path, typer.Option("--bench", help="The bench file: everything on the table.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, as `testbed run` makes it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_interrupt)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=_errors, show_time=False, show_path=False)],
    )
    try:
        app(list(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else FAILED
    except _EXPECTED as error:
        _errors.print(f"error: {error}", markup=False, style="red")
    except OSError as error:
        _errors.print(f"error: {error.filename or ''}: {error.strerror or error}", markup=False, style="red")
    return FAILED


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@app.command()
def run(
    suite: Annotated[Path | None, typer.Argument(help="The suite file: what to do.")] = None,
    bench: Annotated[Path | None, typer.Option("--bench", help="The bench file: everything on the table.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. Default 1.", min=0)] = None,
    out: Annotated[Path | None, typer.Option(help="Where the run folder is made. Default: runs.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Finish the run in this folder instead.")] = None,
) -> None:
    """Run a suite on a bench, or finish a run that broke off."""
    _run(lambda display: _start_or_resume(suite, bench, seed, out, resume, display))


@app.command()
def collect(
    suite: Annotated[Path, typer.Argument(help="The suite file: what to do.")],
    bench: BenchFile,
    to: ToFolder,
    seed: Annotated[int, typer.Option(help="Seed of everything random.", min=0)] = 1,
    out: Annotated[Path, typer.Option(help="Where the run folder is made.")] = Path("runs"),
    csv: ToCsv = False,
    name: Name = None,
    license: License = None,  # noqa: A002  # the option's name
    creator: Creators = None,
) -> None:
    """Run a suite on a bench and make a dataset of it: `run`, then `export`."""
    require_free(to)
    run = _run(lambda display: experiment.start(load_bench(bench), load_suite(suite), seed, out, display))
    write_dataset([run], to, csv=csv, mixed=False, name=name, license_=license, creators=creator)


def _run(carry_out: Callable[[RunDisplay], Path]) -> Path:
    """Carry a run out under the eyes of whoever sits there; returns its folder."""
    with RunDisplay(_screen) as display:
        try:
            finished = Run.read(carry_out(display))
            display.close()
            _show(finished, summary(finished))
            _write_report(finished)
            return finished.path
        except (KeyboardInterrupt, BrokenPipeError, *_EXPECTED) as error:
            display.close()
            if kept := display.kept():
                _errors.print(kept, markup=False)
            if isinstance(error, KeyboardInterrupt):
                _errors.print("interrupted", markup=False)
                raise typer.Exit(INTERRUPTED) from None
            raise


def _start_or_resume(
    suite: Path | None, bench: Path | None, seed: int | None, out: Path | None, resume: Path | None, display: RunDisplay
) -> Path:
    if resume is not None:
        if any(given is not None for given in (suite, bench, seed, out)):
            raise typer.BadParameter("--resume takes everything from the run folder: give nothing beside it")
        return experiment.resume(resume, display)
    if suite is None or bench is None:
        raise typer.BadParameter("give a suite and a bench (testbed run SUITE --bench BENCH), or --resume RUN")
    return experiment.start(
        load_bench(bench), load_suite(suite), 1 if seed is None else seed, out or Path("runs"), display
    )


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the others are held against the first.")],
    out: Annotated[
        Path | None, typer.Option(help="The file. Default: report.html in the run folder; of several, comparison.html.")
    ] = None,
) -> None:
    """Write the report of a run, finished or not; or of several, against each other."""
    if len(runs) == 1:
        _write_report(Run.read(runs[0]), out)
        return
    path = out or Path("comparison.html")
    write_comparison([Run.read(run) for run in runs], path)
    _screen.print(f"report: {path}", soft_wrap=True, markup=False)


@app.command()
def show(run: RunFolder, policies: Policies = None, fail_if: FailIf = None, as_json: AsJson = False) -> None:
    """Print a run's figures; judge them by conditions."""
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
        progress = {"trials": len(read.trials), "planned": len(read.plan), "complete": read.complete}
        lost = [{"trial": trial.index, "note": trial.note} for trial in read.trials if trial.outcome == "lost"]
        judged = {"conditions": [plain_judgement(judgement) for judgement in judgements]} if fail_if else {}
        about = {"provenance": header.provenance, "labels": list(header.labels), **progress, "lost": lost}
        _print_json({**about, "rows": rows, **judged})
    else:
        _show(read, rows)
        show_judgements(judgements)
    leave_by(judgements)


def _show(run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
    if not run.complete:
        _screen.print(f"{len(run.trials)} of {len(run.plan)} trials; the run is not complete", style="yellow")
    for trial in run.trials:
        if trial.outcome == "lost":
            _screen.print(f"trial {trial.index} was lost: {trial.note}", style="yellow", markup=False, soft_wrap=True)
    _screen.print(summary_table(rows, run.header.caution, _screen.width))
    for label in run.header.labels:
        _screen.print(label, markup=False)


@app.command()
def timeline(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(help="The file. Default: timeline.perfetto.json in the run folder.")
    ] = None,
) -> None:
    """Write a run for ui.perfetto.dev: power, inferences, conditions, decisions, temperature on one time axis."""
    path = out or run / "timeline.perfetto.json"
    write_timeline(Run.read(run), path)
    _screen.print(f"timeline: {path}", soft_wrap=True, markup=False)


@app.command()
def doctor(bench: BenchFile, as_json: AsJson = False) -> None:
    """Look a bench over: wiring, ports, the board's agent, clocks, the meter's samples, endpoints."""
    if as_json:
        findings = list(examine(load_bench(bench)))
        _print_json({"findings": [finding.as_json() for finding in findings]})
    else:
        findings = show_findings(_screen, examine(load_bench(bench)))
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(FAILED)


@app.command()
def schema(of: Annotated[Literal["bench", "suite", "arena"], typer.Argument(help="Which kind of file.")]) -> None:
    """Print the JSON Schema of bench, suite or arena files, for editors."""
    models: dict[str, type[BaseModel]] = {"bench": bench_schema(), "suite": Suite, "arena": Experiment}
    _print_json(models[of].model_json_schema())


app.command()(export)
app.command()(arena)
app.command("compare")(compare_)
app.command()(live)
app.add_typer(agent, name="agent")
app.add_typer(models, name="models")
app.command()(serve)
app.add_typer(board, name="board")
app.add_typer(dataset, name="dataset")
app.add_typer(monitor, name="monitor")
app.add_typer(net, name="net")


def _write_report(run: Run, out: Path | None = None) -> None:
    path = out or run.path / "report.html"
    write_report(run, path)
    _screen.print(f"report: {path}", soft_wrap=True, markup=False)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
