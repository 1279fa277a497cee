"""What a decision is made of: the state a policy sees, the actions it may take, the outcome it learns from.

The world stands behind protocols that this room declares and never implements: `TrueMeans` (a clairvoyant's knowledge,
which only a simulated board has) and `EnergyEstimator` (joules without a meter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Network:
    """A neural network as AutoScale's state describes it, counted from its graph."""

    name: str
    conv_layers: int
    fc_layers: int
    rc_layers: int
    """recurrent and attention layers"""
    macs: int
    """multiply-accumulates of one inference"""
    input_bytes: int
    """of one request's tensors, which a remote target must be sent; AutoScale's state does without it"""


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of inference request: a network with its constraints."""

    name: str
    network: Network
    qos_s: float
    """an inference that takes longer misses its QoS"""
    accuracy_target: float
    """in [0, 1], on the scale of `accuracy`"""
    accuracy: Mapping[str, float]
    """precision -> accuracy in [0, 1]"""
    period_s: float | None = None
    """frame period of a stream; None when requests come one at a time"""


@dataclass(frozen=True, slots=True)
class State:
    """What the board observes just before a decision."""

    task: Task
    co_cpu: float
    """CPU utilisation of co-running applications, 0..1"""
    co_memory: float
    """memory-bandwidth utilisation of co-running applications, 0..1"""
    rssi_dbm: float
    """Wi-Fi signal towards the cloud"""
    peer_rssi_dbm: float
    """signal towards the connected edge device"""


@dataclass(frozen=True, slots=True, order=True)
class Action:
    """A target at a frequency.

    `target` is a processor of the board ("cpu", "gpu", "dla0"), "edge" or "cloud". A processor may have other engines
    besides its first; each is a target too, named after both ("cpu_ncnn").
    """

    target: str
    precision: str
    """"fp32", "fp16" or "int8"; of a remote target, the precision it computes in"""
    frequency_hz: float | None = None
    """None where the frequency cannot be chosen"""

    def __str__(self) -> str:
        at = "" if self.frequency_hz is None else f"@{self.frequency_hz / 1e6:.0f}MHz"
        return f"{self.target}/{self.precision}{at}"

    @property
    def processor(self) -> str:
        """What computes, and has the frequency: all engines of a processor share its clock."""
        return self.target.partition("_")[0]


REMOTE_TARGETS = frozenset({"edge", "cloud"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one decision brought."""

    latency_s: float
    """mean over the inferences made under the decision"""
    energy_j: float
    """whole-board energy of one inference, estimated or measured"""
    accuracy: float
    """in [0, 1]"""
    failed: bool = False
    """the target gave no answer; latency and energy are then those of the vain attempt"""


class Policy(Protocol):
    """Picks a target for each inference, and may learn from what came of it."""

    def select(self, state: State, actions: Sequence[Action]) -> Action: ...

    def update(self, state: State, action: Action, outcome: Outcome) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """The truth about one action in one state, under the law that governs the board."""

    energy_j: float
    """true mean whole-board energy of one inference"""
    latency_s: float
    """true mean latency"""
    p_qos: float
    """true P(latency <= QoS)"""


class TrueMeans(Protocol):
    """A clairvoyant's knowledge of the present moment: never the realised noise."""

    def __call__(self, task: Task, actions: Sequence[Action]) -> Sequence[Means]: ...


class EnergyEstimator(Protocol):
    """Joules of one inference without a meter, from what the board itself can know."""

    def energy_j(
        self, state: State, action: Action, latency_s: float, transmit_s: float, receive_s: float
    ) -> float: ...
