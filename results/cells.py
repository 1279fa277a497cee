"""The trials of a run in cells, those of one policy in one workload and environment; and what they measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

from results.names import environment_order, learns, policy_order
from results.records import TrialRecord
from results.run import Run
from results.statistics import Blocks, Resampled, is_heavy_tailed

Phase = Literal["all", "last half"]
"""of a learning policy's trials in a workload and environment; the others have "all" only"""

LEFT_OUT = ("refused", "lost")
"""outcomes that say nothing of a decision"""

Key = tuple[str, str, str, Phase]
"""workload, environment, policy, phase"""


@dataclass(frozen=True, slots=True)
class Cell:
    """The trials of one policy in one workload and environment."""

    workload: str
    environment: str
    policy: str
    phase: Phase
    trials: tuple[TrialRecord, ...]

    @property
    def key(self) -> Key:
        """What tells it from the others of a run."""
        return self.workload, self.environment, self.policy, self.phase

    def energy_j(self, seed: int) -> Resampled | None:
        """Mean over the trials that answered and have one, per inference."""
        measured = [(trial.block, trial.energy.energy_j) for trial in self._answered if trial.energy]
        if not measured:
            return None
        blocks, energies_j = zip(*measured, strict=True)
        return Blocks.drawn(blocks, seed, self.environment).mean(energies_j)

    def median_energy_j(self, seed: int) -> Resampled | None:
        """Median over the same trials, where their tail is so heavy that the mean says little."""
        measured = [(trial.block, trial.energy.energy_j) for trial in self._answered if trial.energy]
        if not measured or not is_heavy_tailed([energy_j for _, energy_j in measured]):
            return None
        blocks, energies_j = zip(*measured, strict=True)
        return Blocks.drawn(blocks, seed, self.environment).median(energies_j)

    def latency_s(self, seed: int) -> Resampled | None:
        """Median over the inferences of the trials that answered."""
        blocks = [trial.block for trial in self._answered for _ in trial.latencies_s]
        if not blocks:
            return None
        drawn = Blocks.drawn(blocks, seed, self.environment)
        return drawn.median([latency_s for trial in self._answered for latency_s in trial.latencies_s])

    def qos_violations(self, seed: int) -> Resampled | None:
        """Fraction of the inferences begun; None where every trial was left out."""
        done = [trial for trial in self.trials if trial.outcome not in LEFT_OUT]
        if not done:
            return None
        drawn = Blocks.drawn([trial.block for trial in done], seed, self.environment)
        return drawn.fraction([trial.n - trial.qos_met for trial in done], [trial.n for trial in done])

    @property
    def _answered(self) -> list[TrialRecord]:
        return [trial for trial in self.trials if trial.outcome == "ok"]


def cells_of(run: Run) -> list[Cell]:
    """In the order of workloads, environments and policies."""
    trials: dict[tuple[str, str, str], list[TrialRecord]] = {}
    for trial in run.trials:
        if trial.kind == "trial" and trial.policy is not None:
            trials.setdefault((trial.workload, trial.environment, trial.policy), []).append(trial)
    workloads = list(dict.fromkeys(workload for workload, _, _ in trials))
    environments = sorted({environment for _, environment, _ in trials}, key=environment_order)
    policies = sorted({policy for _, _, policy in trials}, key=policy_order)
    cells = []
    for workload, environment, policy in product(workloads, environments, policies):
        place = (workload, environment, policy)
        own = tuple(trials.get(place, ()))
        if own:
            cells.append(Cell(*place, "all", own))
        if len(own) > 1 and learns(policy):
            cells.append(Cell(*place, "last half", own[len(own) // 2 :]))
    return cells
