"""A course: one policy on one board under one seed, through its training and every cell."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from results.arena import CellRecord
from scheduler import policies
from scheduler.choices import NothingToChooseError
from scheduler.contract import Action, Policy, State
from testbed.arena.boards import OpenBoard, Plan
from testbed.arena.config import ArenaPolicy, Drift, Experiment
from testbed.arena.contract import Sample
from testbed.arena.driver import Clairvoyant, Meter, drive
from testbed.arena.judge import Judge, Place
from testbed.arena.profiling import Profiled, profile
from testbed.arena.seeds import stream
from testbed.arena.transfer import hand_over
from testbed.config import CoRunner, Environment
from testbed.environments import resolve_environment
from testbed.errors import BenchError


@dataclass(frozen=True, slots=True)
class Course:
    """What one worker carries out in one go."""

    board: str
    policy: str
    seed: int
    left_out: str | None = None
    """workload whose cells these are, which training leaves out; None: all cells, trained on all"""

    @property
    def name(self) -> str:
        """Of its file."""
        return "--".join((self.board, self.policy, *([self.left_out] if self.left_out else []), str(self.seed)))


def courses(experiment: Experiment) -> list[Course]:
    """All there are, seed by seed, so that an interrupted arena has whole seeds."""
    return [
        Course(board.name, policy.name, seed, left_out)
        for seed, board, policy in product(range(experiment.seeds), experiment.boards, experiment.policies)
        for left_out in _left_out(experiment, policy)
    ]


def _left_out(experiment: Experiment, policy: ArenaPolicy) -> Sequence[str | None]:
    if policy.start != "cold" and experiment.training.leave_network_out:
        return [workload.name for workload in experiment.workloads]
    return [None]


class Circuit:
    """Carries courses out. Remembers what boards and profiles it has opened; nothing of it depends on the order."""

    def __init__(self, experiment: Experiment, plans: Sequence[Plan]) -> None:
        self._experiment = experiment
        self._boards: dict[str, OpenBoard] = {}
        self._plans = {plan.name: plan for plan in plans}
        self._judges: dict[str, Judge] = {}
        self._policies = {policy.name: policy for policy in experiment.policies}
        self._profiled = lru_cache(maxsize=2 * len(plans))(self._profile)

    def run(self, course: Course) -> list[CellRecord]:
        """Every cell of a course, each entered by a copy of the policy as its training left it."""
        entry, competitor = self._policies[course.policy], self._competitor(course, course.board)
        plan, board = competitor.plan, competitor.board
        trained = 0
        if entry.start == "trained":
            trained = self._train(competitor, course.left_out)
        elif entry.start == "transferred":
            trained = self._transfer(competitor, course)
        competitor.ready()
        judge = self._judges.setdefault(plan.name, Judge(plan.actions))
        records = []
        for (workload, job), cell in product(plan.jobs.items(), self._cells()):
            if course.left_out not in (None, workload) or not board.has(job, cell):
                continue
            chance = stream(course.seed, "cell", plan.name, workload, cell.name)  # the same for every policy
            episode = board.episode(job, cell, self._experiment.trials, chance)
            try:
                policy = competitor.enter(workload, cell.name)
                decisions = drive(policy, episode, competitor.meter, competitor.clairvoyant)
            except NothingToChooseError as error:
                raise BenchError(f"{plan.name}, {workload}, {cell.name}: {error}; or leave the policy out") from None
            shift = cell.at if isinstance(cell, Drift) else None
            place = Place(plan.name, workload, cell.name, entry.name, course.seed, shift, trained)
            records.append(judge.record(place, job.task, episode, decisions))
        return records

    def _cells(self) -> list[Environment | Drift]:
        return [*map(resolve_environment, self._experiment.environments), *self._experiment.drifts]

    def _train(self, competitor: _Competitor, left_out: str | None) -> int:
        """Blocks of one workload in one condition, shuffled; returns how many inferences that took."""
        training, plan, board = self._experiment.training, competitor.plan, competitor.board
        environments = _grid() if training.environments == "grid" else map(resolve_environment, training.environments)
        blocks = [
            (job, environment)
            for (workload, job), environment in product(plan.jobs.items(), list(environments))
            if workload != left_out and board.has(job, environment)
        ]
        order = np.random.default_rng(stream(competitor.seed, "training", plan.name)).permutation(len(blocks))
        for job, environment in (blocks[i] for i in order):
            chance = stream(competitor.seed, "training", plan.name, job.task.name, environment.name)
            episode = board.episode(job, environment, training.trials, chance)
            drive(competitor.policy, episode, competitor.meter, competitor.clairvoyant)
        return len(blocks) * training.trials

    def _transfer(self, competitor: _Competitor, course: Course) -> int:
        """Train on another board, and start from what that taught; of several, on the first in the experiment."""
        other = self._competitor(course, next(name for name in self._plans if name != course.board))
        trained = self._train(other, course.left_out)
        with TemporaryDirectory(prefix="arena-") as folder:
            competitor.policy = hand_over(other.policy, competitor.entry, competitor.build, Path(folder))
        return trained

    def _competitor(self, course: Course, board: str) -> _Competitor:
        if board not in self._boards:
            self._boards[board] = self._plans[board].open()
        profiled = self._profiled(board, course.seed)
        return _Competitor(
            self._policies[course.policy], self._plans[board], self._boards[board], profiled, course.seed
        )

    def _profile(self, board: str, seed: int) -> Profiled:
        return profile(self._plans[board], self._boards[board], self._experiment.profile, seed)


class _Competitor:
    """A policy on a board, with what it needs there."""

    def __init__(self, entry: ArenaPolicy, plan: Plan, board: OpenBoard, profiled: Profiled, seed: int) -> None:
        self.entry, self.plan, self.board, self.seed = entry, plan, board, seed
        self.clairvoyant = Clairvoyant()
        self._records = profiled.seen_in(entry.profile)
        self.meter: Meter = _monitor
        estimator = profiled.estimator
        if entry.energy == "estimator" and estimator is not None:
            self.meter = lambda state, action, sample: estimator.energy_j(
                state, action, sample.latency_s, sample.transmit_s, sample.receive_s
            )
        self.policy = self.build(entry.builder, dict(entry.options))
        self._frozen: bytes | None = None

    def build(self, name: str, options: dict[str, policies.Option], *cell: str) -> Policy:
        """A policy for this board, with chance of its own in each cell. Raises PolicyError."""
        (seed,) = np.random.SeedSequence(stream(self.seed, "policy", self.entry.name, *cell)).generate_state(1)
        return policies.build(
            name,
            self.plan.actions,
            seed=int(seed),
            options=options,
            profile=self._records,
            true_means=self.clairvoyant,
        )

    def ready(self) -> None:
        """From here on it enters cells as it now is."""
        if self.entry.start != "cold" and self._learns:
            self._frozen = pickle.dumps(self.policy)

    def enter(self, *cell: str) -> Policy:
        """The policy at the door of a cell: a copy as training left it, or one built anew; a fixed one is itself."""
        if self._frozen is not None:
            return pickle.loads(self._frozen)  # type: ignore[no-any-return]
        return self.build(self.entry.builder, dict(self.entry.options), *cell) if self._learns else self.policy

    @property
    def _learns(self) -> bool:
        return self.entry.builder.removesuffix("-profiled") in (*policies.LEARNING, "bo")


def _monitor(state: State, action: Action, sample: Sample) -> float:
    return sample.energy_j


def _grid() -> Iterator[Environment]:
    """One condition in each combination of the bins that AutoScale's state has for co-runners and signals."""
    loads, signals_dbm = (0.0, 0.12, 0.5, 0.85), (-58.0, -82.0)
    for i, (cpu, memory, rssi_dbm, peer_rssi_dbm) in enumerate(product(loads, loads, signals_dbm, signals_dbm)):
        yield Environment(
            name=f"grid-{i}",
            co_runner=CoRunner(cpu=cpu, memory=memory),
            rssi_dbm=rssi_dbm,
            peer_rssi_dbm=peer_rssi_dbm,
        )
