"""What an engine needs of the world around it; the application's side implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scheduler.contract import Action, EnergyEstimator, State, Task

Tensors = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Execution:
    """One inference as it went."""

    outputs: Tensors
    latency_s: float
    """from the request to the outputs, any wait for the processor included"""
    busy_s: float
    """without that wait"""
    transmit_s: float
    """time the radio spent sending; 0 on the board"""
    receive_s: float
    """time the radio spent receiving; 0 on the board"""


class ExecutionFailed(Exception):
    """The target gave no answer: a time-out, a dead server, a driver that gave up."""

    def __init__(self, reason: str, latency_s: float) -> None:
        super().__init__(reason)
        self.latency_s = latency_s
        """what the vain attempt took"""


class World(Protocol):
    """Where inferences run. Every method may be called from several threads at once."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What may be asked for, by name."""

    @property
    def actions(self) -> Sequence[Action]:
        """Where it may run."""

    @property
    def energy(self) -> EnergyEstimator:
        """Joules without a meter."""

    def observe(self, task: Task) -> State:
        """The state just before a decision. Raises OSError when a sensor cannot be read."""

    def execute(self, task: Task, action: Action, inputs: Tensors) -> Execution:
        """One inference. Raises ExecutionFailed when the target gives no answer."""
