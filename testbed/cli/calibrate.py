"""`testbed calibrate`: from a bench to its board's validated power model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from testbed import rail_cards
from testbed.calibrate import calibration
from testbed.calibrate.design import PLANS
from testbed.calibrate.measurement import Measurement
from testbed.calibrate.rails import make_card
from testbed.cli.expected import EXPECTED
from testbed.cli.screen import ERRORS, FAILED, INTERRUPTED, SCREEN
from testbed.config import Bench, load_bench

_LINE_EVERY = 50


def calibrate(
    bench: Annotated[Path | None, typer.Option("--bench", help="The bench file: everything on the table.")] = None,
    plan: Annotated[str | None, typer.Option(help="quick (minutes) or full. Default: quick.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the order. Default 1.", min=0)] = None,
    out: Annotated[Path | None, typer.Option(help="Where the folder is made. Default: calibrations.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the calibration in this folder instead.")] = None,
    fit: Annotated[Path | None, typer.Option(help="Fit what this folder holds, without the bench.")] = None,
    rails: Annotated[Path | None, typer.Option(help="Bench file with the board's own sensors, for a card.")] = None,
) -> None:
    """Measure a board by a designed experiment and fit its power model; exit status 1 if that is not good enough.

    With --rails: hold the board's own sensors against the bench's meter instead, and write a rail-to-meter card.
    """
    if rails is not None:
        if bench is None or plan is not None or resume is not None or fit is not None:
            raise typer.BadParameter("--rails takes --bench, and may take --seed and --out; nothing else")
        _make_card(load_bench(bench), load_bench(rails), 1 if seed is None else seed, out or Path("calibrations"))
        return
    if resume is not None or fit is not None:
        if any(given is not None for given in (bench, plan, seed, out)) or (resume is not None and fit is not None):
            raise typer.BadParameter("--resume and --fit take everything from the folder: give nothing beside it")
    elif bench is None:
        raise typer.BadParameter("give a bench (testbed calibrate --bench BENCH), or --resume DIR")
    if plan is not None and plan not in PLANS:
        raise typer.BadParameter(f"there is no plan '{plan}'; there are: {', '.join(PLANS)}")
    with _Display() as display:
        try:
            if fit is not None:
                outcome = calibration.fit(fit)
            elif resume is not None:
                outcome = calibration.resume(resume, display)
            else:
                assert bench is not None
                chosen, folder = PLANS[plan or "quick"], out or Path("calibrations")
                outcome = calibration.start(load_bench(bench), chosen, 1 if seed is None else seed, folder, display)
        except (KeyboardInterrupt, *EXPECTED) as error:
            display.close()
            if display.folder is not None:
                go_on = f"Go on with: testbed calibrate --resume {shlex.quote(str(display.folder))}"
                ERRORS.print(f"{display.done} measurements are kept. {go_on}", markup=False)
            if isinstance(error, KeyboardInterrupt):
                ERRORS.print("interrupted", markup=False)
                raise typer.Exit(INTERRUPTED) from None
            raise
    show(outcome.facts)
    SCREEN.print(f"power model: {outcome.model}", soft_wrap=True, markup=False)
    if not outcome.facts["verdict"]["good_enough"]:
        raise typer.Exit(FAILED)


def _make_card(bench: Bench, rails: Bench, seed: int, folder: Path) -> None:
    with _Display() as display:
        record = make_card(bench, rails, seed, display.step)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rail-card-{rails.name}.json"
    rail_cards.write(record, path)
    SCREEN.print(str(record), markup=False)
    SCREEN.print(f"rail card: {path}; use it by monitor.card in {rails.name}'s bench file", markup=False)


def show(facts: Mapping[str, Any]) -> None:
    """What a power model says and is worth, on the screen."""
    idle, validation, verdict = facts["idle"], facts["validation"], facts["verdict"]
    title = f"{facts['board']['model']}: idle {_watts(idle['power_w'], idle['standard_uncertainty_w'])}"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for heading in ("above idle", "from", "to", "MAPE held out"):
        table.add_column(heading, justify="left" if heading == "above idle" else "right")
    cpu, memory = facts["cpu"], facts["memory"]
    if cpu["busy_core_w"]:
        law = validation["board_law_mape"]
        table.add_row("one CPU core", *_range(cpu["frequencies_hz"], cpu["busy_core_w"]), _share(law))
    table.add_row("memory, saturated", "", _watts(memory["full_w"], memory["standard_uncertainty_w"]), "")
    for p in facts["processors"]:
        error = validation["mape_by_target"].get(p["target"])
        name = f"{p['target']}/{p['precision']}, without its multiply-accumulates"
        table.add_row(name, *_range(p["frequencies_hz"], p["busy_power_w"]), _share(error))
    for target, radio in facts["radio"].items():
        error = validation["mape_by_target"].get(target)
        for way in ("transmit", "receive"):
            ends = [f"{radio[f'{way}_w'][i]:.3g} W at {radio['rssi_dbm'][i]:.0f} dBm" for i in (0, -1)]
            table.add_row(f"{way} to {target}", *ends, _share(error))
    SCREEN.print(table)
    SCREEN.print(f"held-out inferences: {_share(validation['mape'])} MAPE over {validation['inferences']}")
    SCREEN.print(f"beside it: {validation['paper']}", style="dim")
    if truth := facts["against_truth"]:
        SCREEN.print(
            f"against the virtual board's truth: idle {truth['idle_relative']:+.2%}, busy at worst "
            f"{truth['busy_relative_worst'] or 0.0:+.2%} ({truth['busy_worst']}), "
            f"held-out inferences {_share(truth['held_out_mape'])} MAPE"
        )
    for note in facts["notes"]:
        SCREEN.print(note, style="yellow", markup=False)
    for target, why in verdict["withheld"].items():
        SCREEN.print(f"withheld: {target}: {why}", style="yellow", markup=False)
    if facts["provenance"] == "virtual":
        SCREEN.print("The board is simulated: these are no measurements of hardware.", style="yellow")
    if not verdict["good_enough"]:
        SCREEN.print(f"not good enough to be used: {'; '.join(verdict['reasons'])}", style="red", markup=False)


def _range(frequencies_hz: list[float] | None, powers_w: list[float]) -> tuple[str, str]:
    if frequencies_hz is None:
        return "", f"{powers_w[0]:.3g} W"
    low, high = (f"{powers_w[i]:.3g} W at {frequencies_hz[i] / 1e6:.0f} MHz" for i in (0, -1))
    return low, high


def _watts(value_w: float, uncertainty_w: float | None) -> str:
    return f"{value_w:.4g} W" + ("" if uncertainty_w is None else f" ± {uncertainty_w:.1g} W")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


class _Display:
    """Implements `calibration.Audience`. A context manager: it owns the live part of the screen."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.done = 0
        self._lively = SCREEN.is_terminal and not SCREEN.is_dumb_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("measurements"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=SCREEN,
            transient=True,
        )
        self._task = self._progress.add_task("preparing", total=None, left="")

    def __enter__(self) -> _Display:
        if self._lively:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the screen back; safe to call twice."""
        self._progress.stop()

    def step(self, text: str) -> None:
        self._progress.update(self._task, description=text)
        if not self._lively:
            SCREEN.print(text, markup=False)

    def begins(self, folder: Path, left: int, left_s: float) -> None:
        self.folder = folder
        SCREEN.print(f"calibration folder: {folder}", markup=False, soft_wrap=True)
        SCREEN.print(f"{left} measurements or more, about {_about(left_s)}", markup=False)
        self._progress.reset(self._task, total=left, description="measuring", left="")

    def measured(self, measurement: Measurement, left: int, left_s: float) -> None:
        self.done += 1
        left_text = f"about {_about(left_s)} left"
        self._progress.update(
            self._task, completed=self.done, total=self.done + left, description=str(measurement.condition)[:44],
            left=left_text,
        )  # fmt: skip
        if not self._lively and self.done % _LINE_EVERY == 0:
            SCREEN.print(f"{self.done} measured, {left} left, {left_text}", markup=False)


def _about(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
