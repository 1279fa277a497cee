"""`testbed arena`: policies against each other, and what came of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from results.arena import ArenaRecords, read_records
from results.arena.analysis import ArenaAnalysis, Behind, analyse, behind
from results.arena.page import write_page
from results.arena.tables import as_json
from testbed.arena import contest
from testbed.arena.config import load_experiment
from testbed.cli.arena_tables import behind_table, overall_table, paper_table, shift_table
from testbed.cli.screen import ERRORS, INTERRUPTED, PIPE_COLUMNS

BETTER, PUBLISHED = "bayesian", "autoscale"
"""the policies whose cells are held against each other one by one"""
_EVERY = 20
"""courses between two lines where the screen is no terminal"""


def arena(
    experiment: Annotated[Path, typer.Argument(help="The experiment file: who competes, on what, how often.")],
    out: Annotated[Path, typer.Option(help="Where the arena's folder is made.")] = Path("arenas"),
    seeds: Annotated[int | None, typer.Option(help="Another number of seeds than the file's.", min=1)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes. Default: one a core.", min=1)] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Let policies compete on virtual boards or recorded trials; run again, it goes on where it broke off."""
    stream = sys.stderr if as_json_ else sys.stdout
    screen = Console(file=stream, highlight=False, width=None if stream.isatty() else PIPE_COLUMNS)
    wanted = load_experiment(experiment)
    if seeds is not None:
        wanted = wanted.model_copy(update={"seeds": seeds})
    folder = out / wanted.name
    plans = contest.prepare(wanted, lambda text: screen.print(text, markup=False))
    with _Display(screen) as display:
        try:
            contest.run(wanted, plans, folder, workers or os.cpu_count() or 1, display.done)
        except KeyboardInterrupt:
            display.close()
            ERRORS.print(f"interrupted; what is done is kept in {folder}: go on with the same command", markup=False)
            raise typer.Exit(INTERRUPTED) from None
    records = read_records(folder)
    analysis = analyse(records)
    lost = behind(records, BETTER, PUBLISHED)
    figures = as_json(records, analysis, lost)
    text = json.dumps(figures, indent=1, allow_nan=False) + "\n"
    (folder / "figures.json").write_text(text, encoding="utf-8")
    write_page(records, analysis, lost, folder / "arena.html")
    if as_json_:
        typer.echo(text, nl=False)
        return
    _show(screen, records, analysis, lost)
    screen.print(f"report: {folder / 'arena.html'}", soft_wrap=True, markup=False)


def _show(screen: Console, records: ArenaRecords, analysis: ArenaAnalysis, lost: list[Behind]) -> None:
    for board in analysis.boards:
        for note in records.header.notes[board]:
            screen.print(f"{board}: {note}", markup=False, soft_wrap=True)
        screen.print(overall_table(records, analysis, board))
        if table := paper_table(records, analysis, board):
            screen.print(table)
    if analysis.shifts:
        screen.print(shift_table(records, analysis))
    if lost:
        screen.print(behind_table(records, lost))


class _Display:
    """The courses as they get done: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("courses"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=screen,
            disable=not screen.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("competing", total=None)

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the screen back; safe to call twice."""
        self._bar.stop()

    def done(self, courses: int, total: int) -> None:
        """So many of them."""
        self._bar.update(self._task, completed=courses, total=total)
        if not self._screen.is_terminal and courses % _EVERY == 0:
            self._screen.print(f"{courses} of {total} courses", markup=False)
