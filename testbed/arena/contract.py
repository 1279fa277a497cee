"""What the arena asks of a board: a virtual one in virtual time, or measured trials played again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.contract import Action, Means, State, Task
from testbed.moment import Moment


@dataclass(frozen=True, slots=True)
class Job:
    """A task with what it asks of processors and of the network."""

    task: Task
    bytes_moved: Mapping[str, int]
    """precision -> bytes through memory in one inference"""
    up_bytes: int
    """of a request's body"""
    down_bytes: int
    """of an answer's body"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One inference as it came out."""

    latency_s: float
    energy_j: float
    """of the whole board"""
    transmit_s: float = 0.0
    receive_s: float = 0.0
    failed: bool = False
    """the target gave no answer"""


Truth = Mapping[Action, Means]
"""the actions on offer at a moment, with their true means; a world hands out the same object for the same moment"""


class Episode(Protocol):
    """Trials of one job in a row. All chance is settled beforehand: every policy meets the same."""

    @property
    def states(self) -> Sequence[State]:
        """What the board observes before each trial."""

    @property
    def truths(self) -> Sequence[Truth]:
        """The truth at each trial."""

    def sample(self, trial: int, action: Action) -> Sample:
        """What comes of an action in a trial; asked twice, the same."""


class VirtualWorld(Protocol):
    """A virtual board with all that surrounds it, in virtual time."""

    def episode(self, job: Job, moments: Sequence[Moment], seen: Sequence[Moment], seed: Sequence[int]) -> Episode:
        """One trial a moment. `seen` is what telemetry tells of the moments, before its noise."""

    def idle_power_w(self, moment: Moment) -> float:
        """What the board draws without an inference."""
