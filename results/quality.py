"""How far the joules of a run can be trusted: against the truth, over time, by cause, and by its clocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev

import numpy as np

from results.records import ClockFit, EnergyRecord, TrialRecord
from results.run import Run
from results.statistics import CONFIDENCE, RESAMPLES, Estimate

_FIGURES = re.compile(r"-?\d+(?:\.\d+)?")
_REASONS_TOLD = 3
COVERAGE_FACTOR = 2.0
"""how many standard uncertainties a measured energy may lie from the truth to count as covered"""


@dataclass(frozen=True, slots=True)
class TruthCheck:
    """Measured energies against the true ones, which only a virtual board knows; errors are relative to the truth."""

    trials: int
    bias: float
    """mean error"""
    spread: float
    """standard deviation of the errors"""
    worst: float
    """the largest error, without its sign"""
    coverage: float
    """fraction of trials within 2 standard uncertainties of the truth; 95 % of honest normal ones are"""


@dataclass(frozen=True, slots=True)
class Drift:
    """The reference trials: one action again and again, each energy over the mean of its environment."""

    trials: int
    spread: float
    """standard deviation"""
    change: Estimate
    """of the straight line through them, from the first to the last, with its bootstrap interval"""


@dataclass(frozen=True, slots=True)
class ClockSummary:
    """The fits of one clock to the controller's."""

    fits: int
    median_residual_s: float
    worst_residual_s: float
    worst_uncertainty_s: float
    largest_drift: float
    """seconds gained or lost per second"""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """The standard uncertainty of energy per inference, relative to the energy."""

    trials: int
    median: float
    worst: float
    by_cause: Mapping[str, float]
    """cause -> mean"""
    least_present: float
    """smallest fraction of a window's samples that arrived"""


@dataclass(frozen=True, slots=True)
class Strays:
    """Trials of one environment whose path or signal was not what was asked."""

    trials: int
    example: int
    """index of the first"""
    reason: str
    """what was wrong with it"""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the run was made as its suite asks."""

    trials: int
    tagged: int
    """of these, how many were off their condition, or the board not as asked"""
    most_tagged: float
    """share of tagged trials that the suite still takes for healthy"""
    reasons: Mapping[str, int]
    """reason, its figures left out -> how many trials had it; the most frequent first"""

    @property
    def passed(self) -> bool:
        """Whether no more were tagged than the suite takes."""
        return self.tagged <= self.most_tagged * self.trials

    def __str__(self) -> str:
        verdict = "healthy" if self.passed else "unhealthy"
        often = "; ".join(f"{count} x {reason}" for reason, count in list(self.reasons.items())[:_REASONS_TOLD])
        tagged = f"{self.tagged} of {self.trials} trials tagged, {self.most_tagged:.0%} are taken"
        return f"{verdict}: {tagged}" + (f" ({often})" if often else "")


@dataclass(frozen=True, slots=True)
class QualityOfRun:
    """Over the trials and reference trials of a run; None, or empty, where nothing can be said."""

    health: Health | None
    """None before the first trial, or where the suite states no share"""
    truth: TruthCheck | None
    drift: Drift | None
    uncertainty: Uncertainty | None
    clocks: Mapping[str, ClockSummary]
    complaints: Mapping[str, int]
    """note of a failed or refused trial, or of what spoilt the marks of a block -> how many had it"""
    strayed: Mapping[str, Strays]
    """environment -> its trials that were off their condition"""


def assess(run: Run) -> QualityOfRun:
    """From the durable trials of a run, finished or not."""
    trials = judged(run)
    fits: dict[str, list[ClockFit]] = {}
    for block in run.blocks:
        for name, fit in block.clocks.items():
            fits.setdefault(name, []).append(fit)
        if block.marks is not None:
            fits.setdefault(f"marks by {block.marks.method}", []).append(block.marks.fit)
    fits.setdefault("board", []).extend(trial.clock for trial in trials if trial.clock)
    return QualityOfRun(
        health=health(run),
        truth=truth_check(trials),
        drift=drift([trial for trial in trials if trial.kind == "reference"], run.header.seed),
        uncertainty=_uncertainty([trial.energy for trial in trials if trial.energy]),
        clocks={name: _clock(found) for name, found in fits.items() if found},
        complaints=dict(
            Counter(
                [trial.note for trial in trials if trial.outcome != "ok" and trial.note]
                + [f"marks: {block.marks.note}" for block in run.blocks if block.marks and block.marks.note]
            )
        ),
        strayed=_strayed(trials),
    )


def health(run: Run) -> Health | None:
    """Of the trials that speak for the run, as far as it has come."""
    trials, most_tagged = judged(run), run.header.suite.get("most_tagged")
    if not trials or not isinstance(most_tagged, int | float):
        return None
    reasons = Counter(
        reason for trial in trials for reason in {_FIGURES.sub("…", said) for said in trial.condition.strayed}
    )
    tagged = sum(bool(trial.condition.strayed) for trial in trials)
    return Health(len(trials), tagged, float(most_tagged), dict(reasons.most_common()))


def _strayed(trials: Iterable[TrialRecord]) -> dict[str, Strays]:
    found: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        if trial.condition.strayed:
            found.setdefault(trial.environment, []).append(trial)
    return {
        environment: Strays(len(own), own[0].index, "; ".join(own[0].condition.strayed))
        for environment, own in found.items()
    }


def judged(run: Run) -> list[TrialRecord]:
    """The trials that speak for the joules of a run: warm-ups and profiles do not."""
    return [trial for trial in run.trials if trial.kind in ("trial", "reference")]


def truth_check(trials: Iterable[TrialRecord]) -> TruthCheck | None:
    """Of the trials that answered and have both energies."""
    pairs = [(t.energy, t.truth_energy_j) for t in trials if t.energy and t.truth_energy_j and t.outcome == "ok"]
    if not pairs:
        return None
    errors = [energy.energy_j / truth_j - 1 for energy, truth_j in pairs]
    covered = [
        abs(energy.energy_j - truth_j) <= COVERAGE_FACTOR * energy.standard_uncertainty_j for energy, truth_j in pairs
    ]
    return TruthCheck(len(pairs), fmean(errors), pstdev(errors), max(map(abs, errors)), fmean(covered))


def drift(references: Sequence[TrialRecord], seed: int) -> Drift | None:
    """The drift sentinel's verdict; needs three measured reference trials."""
    measured = [(t.index, t.environment, t.energy.energy_j) for t in references if t.energy and t.outcome == "ok"]
    if len(measured) < 3:
        return None
    of_environment: dict[str, list[float]] = {}
    for _, environment, energy_j in measured:
        of_environment.setdefault(environment, []).append(energy_j)
    level = np.array([energy_j / fmean(of_environment[environment]) for _, environment, energy_j in measured])
    place = np.array([index for index, _, _ in measured], np.float64)
    place = (place - place[0]) / (place[-1] - place[0])
    picks = np.random.default_rng([seed % 2**63, 0xD1]).integers(len(measured), size=(RESAMPLES, len(measured)))
    slopes = _slopes(place[picks], level[picks])
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(slopes, [tail, 100 - tail])
    change = Estimate(float(_slopes(place[None], level[None])[0]), float(low), float(high))
    return Drift(len(measured), float(level.std()), change)


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares along the last axis; NaN where all x are the same."""
    dx = x - x.mean(axis=-1, keepdims=True)
    square = (dx**2).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.where(square > 0, (dx * y).sum(axis=-1) / np.where(square > 0, square, 1.0), np.nan)


def _clock(fits: Sequence[ClockFit]) -> ClockSummary:
    return ClockSummary(
        fits=len(fits),
        median_residual_s=median(fit.residual_s for fit in fits),
        worst_residual_s=max(fit.residual_s for fit in fits),
        worst_uncertainty_s=max(fit.uncertainty_s for fit in fits),
        largest_drift=max(abs(fit.drift) for fit in fits),
    )


def _uncertainty(energies: Sequence[EnergyRecord]) -> Uncertainty | None:
    energies = [energy for energy in energies if energy.energy_j > 0]
    if not energies:
        return None
    relative = [energy.standard_uncertainty_j / energy.energy_j for energy in energies]
    causes = dict.fromkeys(cause for energy in energies for cause in energy.budget_j)
    return Uncertainty(
        trials=len(energies),
        median=median(relative),
        worst=max(relative),
        by_cause={c: fmean(energy.budget_j.get(c, 0.0) / energy.energy_j for energy in energies) for c in causes},
        least_present=min(energy.present for energy in energies),
    )
