"""A board of an experiment, ready for courses: its world, its actions, its jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module

from scheduler.contract import Action
from testbed.actions import resolve_actions
from testbed.arena.config import ArenaBoard, ArenaWorkload, VirtualBoard
from testbed.arena.contract import Job, World
from testbed.arena.networks import job_of
from testbed.errors import BenchError
from testbed.network.conditions import Standard, condition_at

VIRTUAL_WORLD = "testbed.virtual.world"
"""module of virtual boards in virtual time, loaded by name: what simulates is no part of what measures"""


@dataclass(frozen=True, slots=True)
class OpenBoard:
    """A board with all that a course needs."""

    name: str
    world: World
    actions: tuple[Action, ...]
    jobs: Mapping[str, Job]
    """workload -> what it asks"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A board as plain values, which a worker process opens for itself."""

    board: ArenaBoard
    actions: tuple[Action, ...]
    jobs: Mapping[str, Job]
    provenance: str
    notes: tuple[str, ...] = ()
    """what a reader must know of its data"""

    def open(self) -> OpenBoard:
        """Its world."""
        board = self.board
        if not isinstance(board, VirtualBoard):
            raise NotImplementedError
        world = import_module(VIRTUAL_WORLD).open_world(
            board.profile, self.actions, _air_at(board.standard), board.patience_s
        )
        return OpenBoard(board.name, world, self.actions, self.jobs)


def plan_board(board: ArenaBoard, workloads: Sequence[ArenaWorkload], on_step: Callable[[str], None]) -> Plan:
    """Check what an experiment asks of a board. Raises BenchError."""
    if not isinstance(board, VirtualBoard):
        raise NotImplementedError
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
    stem, at, which = pattern.partition("@")
    steps = frequencies_hz.get(stem.partition("/")[0], ())
    if not at or which != "all" or not steps:
        return [pattern]
    return [f"{stem}@{step / 1e6:.10g}MHz" for step in steps]


def _air_at(standard: Standard) -> Callable[[float], dict[str, float]]:
    def air(rssi_dbm: float) -> dict[str, float]:
        return {name: value for name, value in asdict(condition_at(rssi_dbm, standard)).items() if name != "source"}

    return air
