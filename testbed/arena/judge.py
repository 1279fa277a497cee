"""What a decision was worth beside Opt's, by the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.arena import CellRecord
from scheduler.contract import Action, Task
from scheduler.oracle import choose, score
from testbed.arena.contract import Episode, Truth
from testbed.arena.driver import Decisions


@dataclass(frozen=True, slots=True)
class Place:
    """Which cell, and who is in it."""

    board: str
    workload: str
    environment: str
    policy: str
    seed: int
    shift: int | None
    trained: int


@dataclass(frozen=True, slots=True)
class _Verdict:
    opt: Action
    opt_energy_j: float
    chosen_energy_j: float
    feasible: bool
    met: bool


class Judge:
    """Scores decisions on a board; remembers what it worked out."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self._index = {action: i for i, action in enumerate(actions)}
        self._known: dict[tuple[int, str, Action], tuple[Truth, _Verdict]] = {}

    def record(self, place: Place, task: Task, episode: Episode, decisions: Decisions) -> CellRecord:
        """The cell as it goes on record."""
        verdicts = [
            self._verdict(task, truth, action) for truth, action in zip(episode.truths, decisions.actions, strict=True)
        ]
        samples = decisions.samples
        accurate = [task.accuracy[action.precision] >= task.accuracy_target for action in decisions.actions]
        answered = [not sample.failed for sample in samples]
        return CellRecord(
            board=place.board,
            workload=place.workload,
            environment=place.environment,
            policy=place.policy,
            seed=place.seed,
            shift=place.shift,
            trained=place.trained,
            chosen=np.array([self._index[action] for action in decisions.actions]),
            opt=np.array([self._index[verdict.opt] for verdict in verdicts]),
            energy_j=np.array([sample.energy_j for sample in samples]),
            chosen_energy_j=np.array([verdict.chosen_energy_j for verdict in verdicts]),
            opt_energy_j=np.array([verdict.opt_energy_j for verdict in verdicts]),
            missed=np.array([sample.failed or sample.latency_s > task.qos_s for sample in samples]),
            accurate=np.logical_and(accurate, answered),
            feasible=np.array([verdict.feasible for verdict in verdicts]),
            met=np.array([verdict.met for verdict in verdicts]),
            explored=np.array(decisions.explored),
        )

    def _verdict(self, task: Task, truth: Truth, action: Action) -> _Verdict:
        key = id(truth), task.name, action
        if key not in self._known:
            opt, scored = choose(task, truth), score(task, truth, action)
            verdict = _Verdict(opt, truth[opt].energy_j, truth[action].energy_j, scored.feasible, scored.met)
            self._known[key] = truth, verdict
        return self._known[key][1]
