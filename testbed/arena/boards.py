"""The boards of an experiment, checked and ready for courses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np

from scheduler.contract import Action
from testbed.actions import resolve_actions
from testbed.arena import recorded, third_party
from testbed.arena.config import ArenaBoard, ArenaWorkload, Drift, ImportedTable, RecordedRun, VirtualBoard
from testbed.arena.contract import Episode, Job, VirtualWorld
from testbed.arena.drift import drifting
from testbed.arena.networks import job_of
from testbed.arena.replay import Records, Replay
from testbed.config import Environment
from testbed.environments import ENVIRONMENTS, moments
from testbed.errors import BenchError
from testbed.network.conditions import Standard, condition_at

VIRTUAL_WORLD = "testbed.virtual.world"
"""module of virtual boards in virtual time, loaded by name: what simulates is no part of what measures"""


class OpenBoard(Protocol):
    """A board as courses see it."""

    @property
    def idle_power_w(self) -> float | None:
        """Without an inference or a co-runner; None where that was not recorded."""

    def has(self, job: Job, cell: Environment | Drift) -> bool:
        """Whether there is anything to be done there."""

    def episode(self, job: Job, cell: Environment | Drift, trials: int, seed: Sequence[int]) -> Episode:
        """Trials of a cell; the same seed, the same episode."""


@dataclass(frozen=True, slots=True)
class Virtual:
    """Implements `OpenBoard`: any environment, any drift."""

    world: VirtualWorld

    @property
    def idle_power_w(self) -> float | None:
        return self.world.idle_power_w(moments(ENVIRONMENTS["S1"], 1, np.random.default_rng(0))[0])

    def has(self, job: Job, cell: Environment | Drift) -> bool:
        return True

    def episode(self, job: Job, cell: Environment | Drift, trials: int, seed: Sequence[int]) -> Episode:
        random = np.random.default_rng(seed)
        if isinstance(cell, Drift):
            return self.world.episode(job, *drifting(cell, trials, random), seed)
        surroundings = moments(cell, trials, random)
        return self.world.episode(job, surroundings, surroundings, seed)


@dataclass(frozen=True, slots=True)
class Plan:
    """A board as plain values, which each worker process opens for itself."""

    board: ArenaBoard
    actions: tuple[Action, ...]
    jobs: Mapping[str, Job]
    """workload -> what it asks"""
    provenance: str
    notes: tuple[str, ...] = ()
    """what a reader must know of its data"""
    records: Records | None = None
    """of a board that is played again"""

    @property
    def name(self) -> str:
        """As the experiment calls it."""
        return self.board.name

    def open(self) -> OpenBoard:
        """Ready for courses."""
        if isinstance(self.board, VirtualBoard):
            settings = self.board
            module = import_module(VIRTUAL_WORLD)
            air_at = _air_at(settings.standard)
            return Virtual(module.open_world(settings.profile, self.actions, air_at, settings.patience_s))
        assert self.records is not None
        return Replay(self.records)


def plan_board(board: ArenaBoard, workloads: Sequence[ArenaWorkload], on_step: Callable[[str], None]) -> Plan:
    """Check what an experiment asks of a board. Raises BenchError, or StoreError for a folder that is no run."""
    if isinstance(board, VirtualBoard):
        return _plan_virtual(board, workloads, on_step)
    records = _read(board, workloads)
    precisions = sorted({action.precision for action in records.actions})
    jobs = {
        workload.name: job_of(workload, precisions, on_step, records.accuracy[workload.name])
        for workload in workloads
        if workload.name in records.accuracy
    }
    if not jobs:
        raise BenchError(f"board '{board.name}': none of the experiment's workloads is recorded there")
    return Plan(board, records.actions, jobs, records.provenance, records.notes, records)


def _read(board: RecordedRun | ImportedTable, workloads: Sequence[ArenaWorkload]) -> Records:
    if isinstance(board, RecordedRun):
        return recorded.read(board.folder, workloads)
    return third_party.read(board.file, board.board, workloads)


def _plan_virtual(board: VirtualBoard, workloads: Sequence[ArenaWorkload], on_step: Callable[[str], None]) -> Plan:
    try:
        processors, frequencies_hz = import_module(VIRTUAL_WORLD).processors(board.profile)
    except ValueError as error:
        raise BenchError(f"board '{board.name}': {error}") from None
    written = [text for pattern in board.actions for text in _expanded(pattern, frequencies_hz)]
    actions = resolve_actions(written, processors, frequencies_hz, f"board '{board.name}'")
    precisions = sorted({action.precision for action in actions})
    jobs = {workload.name: job_of(workload, precisions, on_step) for workload in workloads}
    return Plan(board, tuple(actions), jobs, "virtual")


def _expanded(pattern: str, frequencies_hz: Mapping[str, Sequence[float]]) -> list[str]:
    """`gpu/int8@all` -> each frequency step; anything else as it stands."""
    stem, _, which = pattern.partition("@")
    steps = frequencies_hz.get(stem.partition("/")[0], ())
    if which != "all" or not steps:
        return [pattern]
    return [f"{stem}@{step / 1e6:.10g}MHz" for step in steps]


def _air_at(standard: Standard) -> Callable[[float], dict[str, float]]:
    def air(rssi_dbm: float) -> dict[str, float]:
        return condition_at(rssi_dbm, standard).as_air()

    return air
