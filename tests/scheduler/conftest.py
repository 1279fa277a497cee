"""A small analytic world for the policies to live in: a CPU, a GPU, an accelerator, a cloud and a device nearby."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import erf, log, sqrt
from random import Random

import pytest

from scheduler.contract import Action, Means, Network, Outcome, State, Task
from scheduler.profile import ProfileRecord

ACCURACY = {"fp32": 0.76, "fp16": 0.758, "int8": 0.71}


@dataclass
class World:
    idle_w: float = 3.0
    noise: float = 0.03
    seed: int = 0
    speed_macs_per_s: dict[tuple[str, str], float] = field(
        default_factory=lambda: {
            ("cpu", "fp32"): 3.0e10,
            ("cpu", "int8"): 8.0e10,
            ("gpu", "fp32"): 1.0e11,
            ("gpu", "fp16"): 2.5e11,
            ("dla0", "int8"): 1.5e11,
        }
    )
    busy_w: dict[str, float] = field(default_factory=lambda: {"cpu": 6.0, "gpu": 9.0, "dla0": 3.0})
    slowdown: dict[str, float] = field(default_factory=dict)
    """target -> factor on its latency, for a hidden change"""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def task(
        self,
        name: str = "photo",
        *,
        macs: int = 1_000_000_000,
        qos_s: float = 0.05,
        accuracy_target: float = 0.7,
        conv_layers: int = 53,
        input_bytes: int = 150_528,
    ) -> Task:
        return Task(name, Network(name, conv_layers, 1, 0, macs, input_bytes), qos_s, accuracy_target, ACCURACY)

    def state(
        self,
        task: Task,
        co_cpu: float = 0.0,
        co_memory: float = 0.0,
        rssi_dbm: float = -58.0,
        peer_rssi_dbm: float = -58.0,
    ) -> State:
        return State(task, co_cpu, co_memory, rssi_dbm, peer_rssi_dbm)

    @property
    def actions(self) -> tuple[Action, ...]:
        cpu = [Action("cpu", precision, f * 1e8) for precision in ("fp32", "int8") for f in (6, 10, 14)]
        gpu = [Action("gpu", precision, f * 1e8) for precision in ("fp32", "fp16") for f in (4, 9)]
        return (*cpu, *gpu, Action("dla0", "int8"), Action("edge", "fp32"), Action("cloud", "fp32"))

    def spans(self, state: State, action: Action) -> tuple[float, float, float]:
        """latency, transmit and receive time in seconds"""
        macs = state.task.network.macs
        if action.target in ("edge", "cloud"):
            rssi_dbm = state.rssi_dbm if action.target == "cloud" else state.peer_rssi_dbm
            rate_bps = 30e6 / (1.0 + 10.0 ** ((-62.0 - rssi_dbm) / 8.0))
            transmit_s, receive_s = 3e5 / rate_bps, 2e4 / rate_bps
            remote_s = 0.008 + macs / 2e12 if action.target == "cloud" else 0.003 + macs / 4e10
            factor = self.slowdown.get(action.target, 1.0)
            return factor * (transmit_s + receive_s + remote_s), factor * transmit_s, factor * receive_s
        top_hz = max(a.frequency_hz or 0.0 for a in self.actions if a.target == action.target)
        at = 1.0 if action.frequency_hz is None else action.frequency_hz / top_hz
        latency_s = macs / (self.speed_macs_per_s[action.target, action.precision] * at**0.85)
        latency_s *= 1.0 + state.co_memory * 0.6 + (state.co_cpu * 1.2 if action.target == "cpu" else 0.0)
        return latency_s * self.slowdown.get(action.target, 1.0), 0.0, 0.0

    def energy_j(self, state: State, action: Action) -> float:
        latency_s, transmit_s, receive_s = self.spans(state, action)
        above_idle_w = 2.0 * state.co_cpu + 1.0 * state.co_memory
        energy_j = (self.idle_w + above_idle_w) * latency_s
        if action.target in ("edge", "cloud"):
            return energy_j + 1.2 * transmit_s + 0.8 * receive_s
        top_hz = max(a.frequency_hz or 0.0 for a in self.actions if a.target == action.target)
        at = 1.0 if action.frequency_hz is None else action.frequency_hz / top_hz
        return energy_j + self.busy_w[action.target] * at**2.2 * latency_s

    def means(self, state: State, actions: Sequence[Action]) -> dict[Action, Means]:
        def p_qos(latency_s: float) -> float:
            return 0.5 * (1.0 + erf(log(state.task.qos_s / latency_s) / self.noise / sqrt(2.0)))

        return {a: Means(self.energy_j(state, a), (t := self.spans(state, a)[0]), p_qos(t)) for a in actions}

    def run(self, state: State, action: Action) -> Outcome:
        record = self.meter(state, action)
        return Outcome(record.latency_s, record.energy_j, state.task.accuracy[action.precision])

    def meter(self, state: State, action: Action) -> ProfileRecord:
        stretch = 2.718281828 ** self.random.gauss(0.0, self.noise)
        latency_s, transmit_s, receive_s = (stretch * span for span in self.spans(state, action))
        energy_j = self.energy_j(state, action) * stretch * 2.718281828 ** self.random.gauss(0.0, self.noise)
        return ProfileRecord(state, action, latency_s, transmit_s, receive_s, energy_j)


@pytest.fixture
def world() -> World:
    return World()
