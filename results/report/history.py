"""What changed while a run went on: power, temperature, samples that are missing, clocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from results.records import TrialRecord
from results.report.spread import Spread, spread
from results.run import Run
from results.run_clock import times_s


@dataclass(frozen=True, slots=True)
class History:
    """Over the run; None where nothing was recorded of it."""

    power_w: Spread | None
    """mean power in each trial's window"""
    baseline_w: Spread | None
    """of the idle board beside it"""
    temperature_c: Spread | None
    throttled_s: tuple[float, ...]
    """when trials that throttled began"""
    throttled: int
    """how many there were"""
    present: Spread | None
    """fraction of a window's samples that arrived; None where none was lost"""
    short_of_samples: int
    """trials that lost some"""
    measured: int
    """trials with energy"""
    residuals_s: dict[str, Spread]
    """clock -> root mean square of its fit's residuals, by the number of the block's record"""


def history(run: Run) -> History:
    """Of the durable trials of a run."""
    trials = run.trials
    at_s = times_s(trials)
    throttled = np.array([trial.observed.get("throttled") is True for trial in trials], bool)
    own = [(time_s, trial.energy) for time_s, trial in zip(at_s, trials, strict=True) if trial.energy]
    lossy = [energy for _, energy in own if energy.present < 1]
    hot = spread(at_s[throttled], np.ones(int(throttled.sum()))).time_s if throttled.any() else np.array([])
    return History(
        power_w=_spread((time_s, energy.mean_power_w) for time_s, energy in own),
        baseline_w=_spread((time_s, energy.baseline_power_w) for time_s, energy in own),
        temperature_c=_spread(
            (time_s, _number(trial, "temperature_c")) for time_s, trial in zip(at_s, trials, strict=True)
        ),
        throttled_s=tuple(hot.tolist()),
        throttled=int(throttled.sum()),
        present=_spread((time_s, energy.present) for time_s, energy in own) if lossy else None,
        short_of_samples=len(lossy),
        measured=len(own),
        residuals_s=_residuals(run),
    )


def _number(trial: TrialRecord, name: str) -> float | None:
    value = trial.observed.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _spread(points: Iterable[tuple[float, float | None]]) -> Spread | None:
    known = [(time_s, value) for time_s, value in points if value is not None]
    if not known:
        return None
    time_s, values = zip(*known, strict=True)
    return spread(np.array(time_s, np.float64), np.array(values, np.float64))


def _residuals(run: Run) -> dict[str, Spread]:
    """Placed by number of the block, since a block knows only the clock of its own session."""
    found: dict[str, list[tuple[int, float]]] = {}
    for number, block in enumerate(run.blocks):
        for name, fit in block.clocks.items():
            found.setdefault(f"clock of the {name}", []).append((number, fit.residual_s))
        if block.marks is not None:
            found.setdefault(f"marks by {block.marks.method}", []).append((number, block.marks.fit.residual_s))
    return {name: known for name, points in found.items() if (known := _spread(points))}


def representative(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The last measured trial of each target and precision, the most chosen first."""
    last: dict[str, TrialRecord] = {}
    times: dict[str, int] = {}
    for trial in trials:
        if trial.kind == "trial" and trial.action and trial.energy and trial.outcome == "ok":
            decision = f"{trial.action.target}/{trial.action.precision}"
            last[decision] = trial
            times[decision] = times.get(decision, 0) + 1
    return [last[decision] for decision in sorted(times, key=lambda decision: -times[decision])]
