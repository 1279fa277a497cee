"""Rewards for AutoScale: the published one, and one that minds a missed QoS.

A target that gave no answer counts as an answer of accuracy 0 in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import ClassVar, Protocol

from scheduler.contract import Outcome, Task


class Reward(Protocol):
    """What an outcome is worth; more is better. `name` is recorded with the run."""

    @property
    def name(self) -> str: ...

    def __call__(self, task: Task, outcome: Outcome) -> float: ...


@dataclass(frozen=True, slots=True)
class PublishedReward:
    """AutoScale's reward (Kim and Wu, MICRO 2020, arXiv 2005.02544) (recalled).

    With energy in mJ, latency in ms and accuracy in %:

    - accuracy below the target: accuracy - 100
    - latency within QoS:        -energy + alpha * latency + beta * accuracy
    - latency beyond QoS:        -energy + beta * accuracy

    The units decide the outcome. A missed QoS forfeits no more than alpha * latency, and an inference that needs more
    than about 100 mJ is worth less than a wrong answer.
    """

    name: ClassVar[str] = "published"
    alpha: float = 0.1
    beta: float = 0.1

    def __call__(self, task: Task, outcome: Outcome) -> float:
        """Reward in the mixed units above."""
        accuracy = 0.0 if outcome.failed else outcome.accuracy
        if outcome.failed or accuracy < task.accuracy_target:
            return 100.0 * accuracy - 100.0
        reward = -1e3 * outcome.energy_j + self.beta * 100.0 * accuracy
        if outcome.latency_s <= task.qos_s:
            reward += self.alpha * 1e3 * outcome.latency_s
        return reward


@dataclass(frozen=True, slots=True)
class QosPenaltyReward:
    """Energy on a logarithmic scale, with penalties that put the constraints first.

    reward = -ln(energy / 1 J) - ln(penalty) * misses - ln(latency / qos where that is above 1)

    `misses` is 0 when the answer is right and in time, 1 when it is late, 2 when it is not accurate enough or missing.
    A logarithm makes the choice scale-free: only ratios between the energies of actions count, so 2 mJ against 3 mJ
    weighs as much as 2 J against 3 J, and no unit has to be balanced against another. A late answer is worth a
    `penalty`-fold energy; 1,000 is beyond the ratio between a board's most and least costly action, so no saving buys a
    miss, and among late answers the less late is better: the order in which Opt chooses.
    """

    name: ClassVar[str] = "qos-penalty"
    penalty: float = 1000.0

    def __post_init__(self) -> None:
        if not self.penalty > 1.0:
            raise ValueError(f"reward {self.name}: penalty must be above 1, an energy ratio; got {self.penalty}")

    def __call__(self, task: Task, outcome: Outcome) -> float:
        """Reward, dimensionless. Raises ValueError when the energy is not above zero."""
        if not outcome.energy_j > 0.0:
            raise ValueError(f"reward {self.name}: energy must be above 0 J, got {outcome.energy_j} for {task.name}")
        late = max(outcome.latency_s / task.qos_s, 1.0)
        misses = 2 if outcome.failed or outcome.accuracy < task.accuracy_target else int(late > 1.0)
        return -log(outcome.energy_j) - misses * log(self.penalty) - log(late)


REWARDS: dict[str, type[PublishedReward] | type[QosPenaltyReward]] = {
    PublishedReward.name: PublishedReward,
    QosPenaltyReward.name: QosPenaltyReward,
}
