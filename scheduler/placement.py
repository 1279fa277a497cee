"""Latency and energy by size alone: what schedulers know that profile offline and never look at interference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from scheduler.contract import REMOTE_TARGETS, Action, State, Task
from scheduler.estimator import PROPOSED_CURVE
from scheduler.profile import ProfileRecord


@dataclass(frozen=True, slots=True)
class Cost:
    """What an action is expected to cost."""

    latency_s: float
    energy_j: float


class PlacementModel:
    """Log-linear regressions of latency and power on multiply-accumulates and layers, for each target and precision.

    Profiled at each target's highest frequency, as such schedulers know no frequency scaling. For a remote target the
    time on the air is taken from the task's own profile, or the mean where it has none, and stretched as the goodput of
    the signal falls (`PROPOSED_CURVE`); the rest is regressed.
    """

    def __init__(self, records: Sequence[ProfileRecord]) -> None:
        top_hz = {
            target: max(r.action.frequency_hz or 0.0 for r in records if r.action.target == target)
            for target in {record.action.target for record in records}
        }
        groups: dict[Action, list[ProfileRecord]] = {}
        for record in records:
            if (record.action.frequency_hz or 0.0) == top_hz[record.action.target]:
                groups.setdefault(record.action, []).append(record)
        self.actions = tuple(groups)
        self._fits = {action: _regress(group) for action, group in groups.items()}
        self._air: dict[tuple[str, str | None], float] = {}
        for action, group in groups.items():
            if action.target in REMOTE_TARGETS:
                self._remember_air(action.target, group)

    def cost(self, state: State, action: Action) -> Cost:
        """Expected cost of one of `self.actions`."""
        x = _regressors(state.task)
        latency_s, power_w = (exp(float(x @ weights)) for weights in self._fits[action])
        if action.target in REMOTE_TARGETS:
            air = self._air.get((action.target, state.task.name), self._air[action.target, None])
            latency_s += air / _goodput_bps(_rssi_dbm(state, action.target))
        return Cost(latency_s, latency_s * power_w)

    def _remember_air(self, target: str, group: Sequence[ProfileRecord]) -> None:
        """Bits on the air as the goodput curve has them, of each task and of all."""
        bits: dict[str | None, list[float]] = {}
        for record in group:
            on_air = (record.transmit_s + record.receive_s) * _goodput_bps(_rssi_dbm(record.state, target))
            for name in (record.state.task.name, None):
                bits.setdefault(name, []).append(on_air)
        self._air.update({(target, name): sum(values) / len(values) for name, values in bits.items()})


def _regress(group: Sequence[ProfileRecord]) -> tuple[np.ndarray, np.ndarray]:
    x = np.array([_regressors(record.state.task) for record in group])
    computing_s = [max(record.latency_s - record.transmit_s - record.receive_s, 1e-6) for record in group]
    ln_power = np.log([record.energy_j / record.latency_s for record in group])
    return np.linalg.lstsq(x, np.log(computing_s), rcond=None)[0], np.linalg.lstsq(x, ln_power, rcond=None)[0]


def _regressors(task: Task) -> np.ndarray:
    network = task.network
    layers = network.conv_layers + network.fc_layers + network.rc_layers
    return np.array((1.0, log(max(network.macs, 1) / 1e9), log(max(layers, 1) / 50.0)))


def _rssi_dbm(state: State, target: str) -> float:
    return state.rssi_dbm if target == "cloud" else state.peer_rssi_dbm


def _goodput_bps(rssi_dbm: float) -> float:
    return float(np.interp(rssi_dbm, PROPOSED_CURVE.rssi_dbm, PROPOSED_CURVE.goodput_bps))
