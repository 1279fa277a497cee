"""A run as it goes, on the screen: what is done, what is under way, when it will end, what the board draws."""

from __future__ import annotations

import shlex
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from power import PowerError
from results import RunStore, TrialRecord
from testbed.meter import Meter
from testbed.plan import PlannedTrial

REFRESHES_PER_S = 4
_LINE_EVERY = 100
"""trials between two lines where the screen is no terminal"""


class RunDisplay:
    """Implements `experiment.Audience`. A context manager: it owns the live part of the screen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lively = console.is_terminal and not console.is_dumb_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("trials"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
        )
        self._task = self._progress.add_task("preparing", total=None)
        self._store: RunStore | None = None
        self._meter: Meter | None = None
        self._planned: PlannedTrial | None = None
        self._last: TrialRecord | None = None
        self._waits = ""
        self._open = False
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=REFRESHES_PER_S, transient=True
        )

    def __enter__(self) -> RunDisplay:
        if self._lively:
            self._live.start()
            self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the screen back; safe to call twice."""
        if self._open:
            self._open = False
            self._live.stop()

    def step(self, text: str) -> None:
        """Preparations, one line each."""
        self._progress.update(self._task, description=text)
        if not self._lively:
            self._console.print(text, markup=False)

    def run_begins(self, store: RunStore, meter: Meter | None) -> None:
        """From here on trials come."""
        self._store, self._meter = store, meter
        self._progress.reset(self._task, total=len(store.plan), completed=len(store.trials), description="running")
        self._console.print(f"run folder: {store.path}", markup=False, soft_wrap=True)

    def trial_begins(self, planned: PlannedTrial) -> None:
        """Note what is under way."""
        self._planned = planned

    def waits(self, text: str) -> None:
        """What the trial waits for; one line for each wait where the screen is no terminal."""
        if text and not self._waits and not self._lively:
            self._console.print(text, markup=False)
        self._waits = text

    def trial_done(self, trial: TrialRecord) -> None:
        """Count it."""
        self._last = trial
        self._progress.advance(self._task)
        if self._store is not None and not self._lively and (trial.index + 1) % _LINE_EVERY == 0:
            self._console.print(f"{trial.index + 1}/{len(self._store.plan)} trials", markup=False)

    def kept(self) -> str:
        """What an interrupted run has kept, and how it goes on; empty before it began."""
        if self._store is None:
            return ""
        done, planned, path = len(self._store.trials), len(self._store.plan), shlex.quote(str(self._store.path))
        if done == planned and (self._store.path / "complete.json").exists():
            return f"All {done} trials are kept. Write the report with: testbed report {path}"
        return f"{done} of {planned} trials are kept. Go on with: testbed run --resume {path}"

    def _render(self) -> Group:
        lines = []
        if (now := self._planned) is not None:
            who = now.policy or f"{now.kind} {now.action}"
            where = f"{now.environment}  {now.surroundings.rssi_dbm:.0f} dBm"
            lines.append(f"{where}  ·  {now.workload}  ·  {who}  ·  {self._power()}")
        if (last := self._last) is not None and last.energy is not None:
            lines.append(
                f"last: {last.action}  {last.energy.energy_j * 1e3:.3g} ± "
                f"{last.energy.standard_uncertainty_j * 1e3:.2g} mJ  {last.latencies_s[-1] * 1e3:.3g} ms"
            )
        if self._waits:
            lines.append(self._waits)
        return Group(self._progress, *(Text(line, style="dim", no_wrap=True) for line in lines))

    def _power(self) -> str:
        try:
            power_w = self._meter.recorder.latest_power_w if self._meter else None
        except PowerError:
            power_w = None
        return "power not measured" if power_w is None else f"{power_w:.2f} W"
