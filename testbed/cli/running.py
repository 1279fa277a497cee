"""`testbed run` and `collect`: a suite on a bench."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from results import Run, summary
from results.dataset import require_free
from testbed import experiment
from testbed.cli.dataset import Creators, License, Name, ToCsv, ToFolder, write_dataset
from testbed.cli.expected import EXPECTED
from testbed.cli.figures import require_health, show_figures, write_report_of
from testbed.cli.progress import RunDisplay
from testbed.cli.screen import ERRORS, INTERRUPTED, SCREEN, BenchFile
from testbed.config import load_bench, load_suite


def run(
    suite: Annotated[Path | None, typer.Argument(help="The suite file: what to do.")] = None,
    bench: Annotated[Path | None, typer.Option("--bench", help="The bench file: everything on the table.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. Default 1.", min=0)] = None,
    out: Annotated[Path | None, typer.Option(help="Where the run folder is made. Default: runs.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Finish the run in this folder instead.")] = None,
) -> None:
    """Run a suite on a bench, or finish a run that broke off. Exit status 4: done, and too many trials were tagged."""
    require_health(_run(lambda display: _start_or_resume(suite, bench, seed, out, resume, display)))


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
    write_dataset([run.path], to, csv=csv, mixed=False, name=name, license_=license, creators=creator)
    require_health(run)


def _run(carry_out: Callable[[RunDisplay], Path]) -> Run:
    """Carry a run out under the eyes of whoever sits there; returns it."""
    with RunDisplay(SCREEN) as display:
        try:
            finished = Run.read(carry_out(display))
            display.close()
            show_figures(finished, summary(finished))
            write_report_of(finished)
            return finished
        except (KeyboardInterrupt, BrokenPipeError, *EXPECTED) as error:
            display.close()
            if kept := display.kept():
                ERRORS.print(kept, markup=False)
            if isinstance(error, KeyboardInterrupt):
                ERRORS.print("interrupted", markup=False)
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
