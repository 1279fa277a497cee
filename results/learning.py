"""Learning curves: how the energy of a learning policy's choices falls, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from results.analysis import Analysis, Row
from results.names import BASELINE
from results.records import TrialRecord
from results.run import Run

SPAN = 10
"""decisions of the moving mean; the first ones average what there is"""


@dataclass(frozen=True, slots=True)
class Curve:
    """One learner in one workload and environment."""

    workload: str
    environment: str
    policy: str
    over: str
    """the policy the energy is normalised to"""
    energy: tuple[float, ...]
    """after decision 1, 2, ...: moving mean of the energy chosen over that of `over`"""


def learning_curves(run: Run, analysis: Analysis) -> list[Curve]:
    """In the order of the rows; none where there is neither truth nor a measured Edge (CPU FP32) to compare with."""
    rows = [row for row in analysis.rows if row.policy in analysis.learners and row.phase == "all"]
    trials: dict[tuple[str, str, str], list[TrialRecord]] = {}
    for trial in run.trials:
        if trial.kind == "trial" and trial.policy is not None:
            trials.setdefault((trial.workload, trial.environment, trial.policy), []).append(trial)
    found = (_curve(row, trials[row.workload, row.environment, row.policy], analysis) for row in rows)
    return [curve for curve in found if curve]


def _curve(row: Row, trials: Sequence[TrialRecord], analysis: Analysis) -> Curve | None:
    place = (row.workload, row.environment)
    if by_truth := [trial.opt.chosen_energy_j / trial.opt.energy_j for trial in trials if trial.opt]:
        return Curve(*place, row.policy, "opt", moving_mean(by_truth))
    baseline = next(
        (r.energy_j for r in analysis.rows if (r.workload, r.environment, r.policy) == (*place, BASELINE)), None
    )
    measured = [trial.energy.energy_j for trial in trials if trial.energy and trial.outcome == "ok"]
    if baseline is None or baseline.value <= 0 or not measured:
        return None
    return Curve(*place, row.policy, BASELINE, moving_mean([e / baseline.value for e in measured]))


def moving_mean(values: Sequence[float], span: int = SPAN) -> tuple[float, ...]:
    """Of each value and the up to span - 1 before it."""
    return tuple(fmean(values[max(0, end - span) : end]) for end in range(1, len(values) + 1))
