"""What a run says about its policies: one row for each workload, environment and policy, and one over all of them.

Warm-up, profile and reference trials count nowhere here. Refused and lost trials are counted and otherwise left out;
failed ones miss their QoS and lower no mean energy, since a vain attempt is not an inference. Energies weigh each
trial alike. Intervals are by the bootstrap over blocks; of the same blocks, one is held against the other one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from results.cells import LEFT_OUT, Cell, Key, Phase, cells_of
from results.names import BASELINE, environment_order, learns, policy_order
from results.quality import TruthCheck, truth_check
from results.records import TrialRecord
from results.run import Run
from results.statistics import Estimate, Resampled, geometric_mean

NEAR_OPT = 0.05
"""an action whose true mean energy is within this fraction of Opt's is as good as Opt's"""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well decisions turned out. Fractions are 0..1; None where nothing can be said."""

    trials: int
    failed: int
    refused: int
    lost: int
    explored: int
    qos_violations: float | None
    """of inferences; one without an answer misses its QoS"""
    qos_violations_feasible: float | None
    """the same, of the trials in which some action could have met QoS; None where the truth is not known"""
    accuracy_misses: float | None
    """of trials; an answer that never came has no accuracy and misses"""
    agreement: float | None
    """of trials in which the policy chose Opt's action"""
    agreement_near: float | None
    """of trials in which its choice met what Opt's met and cost at most 5 % more"""
    decisions: Mapping[str, int]
    """target and precision -> trials"""
    strayed: int
    """trials whose path or signal was not what was asked"""


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one policy in one workload and environment."""

    workload: str
    environment: str
    policy: str
    phase: Phase
    quality: Quality
    energy_j: Estimate | None
    """per inference; None where energy was not measured"""
    efficiency: Estimate | None
    """mean energy of Edge (CPU FP32) in the same workload and environment over this policy's"""
    median_energy_j: Estimate | None
    """where the tail of the energies is so heavy that their mean says little; else None"""
    idle_subtracted_j: float | None
    frame_energy_j: float | None
    latency_s: Estimate | None
    """median over the inferences"""
    qos_missed: Estimate | None
    """of inferences: `quality.qos_violations` with its interval"""
    gap_to_opt: float | None
    """true mean energy of what was chosen over that of what Opt would have, less 1"""
    regret_j: float | None
    """the same difference in joules, summed over all inferences"""
    estimate_error: float | None
    """mean absolute error of the on-board estimate, relative to the meter"""
    truth: TruthCheck | None
    """the meter against the truth; None unless the board is virtual"""
    radio_penalty_j: float | None
    """modelled, per inference, and not in `energy_j`; None unless the link is emulated"""


@dataclass(frozen=True, slots=True)
class Overall:
    """Figures of one policy over every workload and environment."""

    policy: str
    phase: Phase
    quality: Quality
    qos_missed: Estimate | None
    """of inferences: `quality.qos_violations` with its interval"""
    over: Mapping[str, Estimate]
    """other policy -> its energy over this policy's: the geometric mean of the places where both were measured"""
    places: Mapping[str, int]
    """other policy -> in how many pairs of workload and environment both were measured"""
    gap_to_opt: float | None
    """geometric mean over the pairs"""
    regret_j: float | None
    """summed over all inferences"""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Rows in the order of workloads, environments and policies."""

    rows: tuple[Row, ...]
    overall: tuple[Overall, ...]
    in_one_block: int
    """rows whose trials are all of one block: their intervals know nothing of what differs between blocks"""

    @property
    def learners(self) -> list[str]:
        """The policies that learn."""
        return list(dict.fromkeys(each.policy for each in self.overall if learns(each.policy)))

    @property
    def workloads(self) -> list[str]:
        """As they first appear."""
        return list(dict.fromkeys(row.workload for row in self.rows))

    @property
    def environments(self) -> list[str]:
        """In the order the paper lists them."""
        return sorted({row.environment for row in self.rows}, key=environment_order)

    @property
    def by_place(self) -> dict[tuple[str, str], list[Row]]:
        """(workload, environment) -> its rows."""
        places: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            places.setdefault((row.workload, row.environment), []).append(row)
        return places


def analyse(run: Run) -> Analysis:
    """The figures of the durable trials of a run, finished or not."""
    cells = cells_of(run)
    seed = run.header.seed
    means = {cell.key: mean for cell in cells if (mean := cell.energy_j(seed))}
    rows = tuple(_row(cell, means, seed) for cell in cells)
    kinds = dict.fromkeys((cell.policy, cell.phase) for cell in cells)
    ordered = sorted(kinds, key=lambda kind: (policy_order(kind[0]), kind[1]))
    overall = tuple(_overall(policy, phase, cells, means, seed) for policy, phase in ordered)
    return Analysis(rows, overall, sum(len({trial.block for trial in cell.trials}) == 1 for cell in cells))


Means = Mapping[Key, Resampled]


def _row(cell: Cell, means: Means, seed: int) -> Row:
    mean = means.get(cell.key)
    baseline = means.get((cell.workload, cell.environment, BASELINE, "all"))
    answered = [trial for trial in cell.trials if trial.outcome == "ok"]
    energies = [trial.energy for trial in answered if trial.energy]
    return Row(
        workload=cell.workload,
        environment=cell.environment,
        policy=cell.policy,
        phase=cell.phase,
        quality=_quality(cell.trials),
        energy_j=_estimate(mean),
        efficiency=ratio.estimate() if mean and baseline and (ratio := baseline.over(mean)) else None,
        median_energy_j=_estimate(cell.median_energy_j(seed)),
        idle_subtracted_j=_mean(energy.idle_subtracted_j for energy in energies),
        frame_energy_j=_mean(energy.frame_energy_j for energy in energies),
        latency_s=_estimate(cell.latency_s(seed)),
        qos_missed=_estimate(cell.qos_violations(seed)),
        gap_to_opt=gap_to_opt(cell.trials),
        regret_j=regret_j(cell.trials),
        estimate_error=_mean(
            abs(trial.estimated_energy_j / trial.energy.energy_j - 1)
            for trial in answered
            if trial.energy and trial.energy.energy_j > 0 and trial.estimated_energy_j is not None
        ),
        truth=truth_check(cell.trials),
        radio_penalty_j=_radio_penalty_j(answered),
    )


def _radio_penalty_j(trials: Sequence[TrialRecord]) -> float | None:
    """Inferences that used no radio have none; None where no inference did."""
    known = [trial.radio_penalty_j for trial in trials]
    return sum(value or 0.0 for value in known) / len(known) if any(value is not None for value in known) else None


def _estimate(resampled: Resampled | None) -> Estimate | None:
    return resampled.estimate() if resampled else None


def _overall(policy: str, phase: Phase, cells: Sequence[Cell], means: Means, seed: int) -> Overall:
    own = [cell for cell in cells if (cell.policy, cell.phase) == (policy, phase)]
    ratios: dict[str, list[Resampled]] = {}
    for workload, environment, other, other_phase in means:
        mean = means.get((workload, environment, policy, phase))
        if mean is None or other == policy or other_phase != "all":
            continue
        if ratio := means[workload, environment, other, other_phase].over(mean):
            ratios.setdefault(other, []).append(ratio)
    gaps = [gap for cell in own if (gap := gap_to_opt(cell.trials)) is not None]
    trials = [trial for cell in own for trial in cell.trials]
    return Overall(
        policy=policy,
        phase=phase,
        quality=_quality(trials),
        qos_missed=_estimate(Cell("", "", policy, phase, tuple(trials)).qos_violations(seed)),
        over={other: geometric_mean(ratios[other]).estimate() for other in sorted(ratios, key=policy_order)},
        places={other: len(parts) for other, parts in ratios.items()},
        gap_to_opt=_geometric_gap(gaps),
        regret_j=regret_j(trial for cell in own for trial in cell.trials),
    )


def _quality(trials: Sequence[TrialRecord]) -> Quality:
    done = [trial for trial in trials if trial.outcome not in LEFT_OUT]
    judged = [trial for trial in done if trial.opt]
    outcomes = Counter(trial.outcome for trial in trials)
    return Quality(
        trials=len(trials),
        failed=outcomes["failed"],
        refused=outcomes["refused"],
        lost=outcomes["lost"],
        explored=sum(trial.explored for trial in done),
        qos_violations=_violations(done),
        qos_violations_feasible=_violations([trial for trial in judged if trial.opt and trial.opt.feasible]),
        accuracy_misses=_fraction(done, lambda trial: not meets_accuracy(trial)),
        agreement=_fraction(judged, lambda trial: trial.opt is not None and trial.opt.action == trial.action),
        agreement_near=_fraction(judged, near_opt),
        decisions=dict(Counter(f"{trial.action.target}/{trial.action.precision}" for trial in done if trial.action)),
        strayed=sum(bool(trial.condition.strayed) for trial in trials),
    )


def meets_accuracy(trial: TrialRecord) -> bool:
    """An answer that never came misses."""
    return trial.outcome == "ok" and trial.accuracy is not None and trial.accuracy >= trial.accuracy_target


def near_opt(trial: TrialRecord) -> bool:
    """Opt's action, or one as good: it meets QoS and accuracy where that can be done, and costs at most 5 % more."""
    opt = trial.opt
    if opt is None:
        return False
    good = opt.chosen_met or not opt.feasible
    return opt.action == trial.action or (good and opt.chosen_energy_j <= (1 + NEAR_OPT) * opt.energy_j)


def gap_to_opt(trials: Iterable[TrialRecord]) -> float | None:
    """Of true means; below zero where energy was saved by missing a constraint that Opt kept."""
    judged = [trial.opt for trial in trials if trial.opt and trial.outcome not in LEFT_OUT]
    if not judged:
        return None
    return sum(opt.chosen_energy_j for opt in judged) / sum(opt.energy_j for opt in judged) - 1


def regret_j(trials: Iterable[TrialRecord]) -> float | None:
    """What the choices cost beyond Opt's by their true means, all inferences together; None where it is not known."""
    costs = [t.n * (t.opt.chosen_energy_j - t.opt.energy_j) for t in trials if t.opt and t.outcome not in LEFT_OUT]
    return sum(costs) if costs else None


def _geometric_gap(gaps: Sequence[float]) -> float | None:
    factor = 1.0
    for gap in gaps:
        factor *= 1 + gap
    return factor ** (1 / len(gaps)) - 1 if gaps else None


def _violations(trials: Sequence[TrialRecord]) -> float | None:
    begun = sum(trial.n for trial in trials)
    return 1 - sum(trial.qos_met for trial in trials) / begun if begun else None


def _fraction(trials: Sequence[TrialRecord], holds: Callable[[TrialRecord], bool]) -> float | None:
    return sum(map(holds, trials)) / len(trials) if trials else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
