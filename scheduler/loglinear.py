"""Log-linear models of latency and power, one for each processor, learnt together by a Kalman filter.

For task n on processor p at precision q and frequency f, both log latency and log power are

    level + size of n + offset of q + response to f + response to co-runners (or the signal) + offset of (n, q) + walk

The walk is the slow-down that nothing observed explains (ALERT's global slow-down factor, Wan et al., ATC 2020,
here one a processor): it drifts from decision to decision and reverts slowly to zero. All weights are Gaussian, so one
outcome informs every action of its processor, and an unseen task starts from its multiply-accumulates and layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from scheduler.contract import REMOTE_TARGETS, Action, Network, State

Array = NDArray[np.float64]

WEIGHTS = (
    "level",
    "macs",
    "layers",
    "fp16",
    "int8",
    "slowness",
    "slowness2",
    "co_cpu",
    "co_memory",
    "weak",
    "very_weak",
)
"""Shared weights of a processor. Slowness is ln(highest frequency / frequency); a signal is weak below -55 dBm and very
weak below -70 dBm, in tens of dB."""
PRECISIONS = ("fp32", "fp16", "int8")
_CO_CPU, _VERY_WEAK = WEIGHTS.index("co_cpu"), WEIGHTS.index("very_weak")
_SLOWNESS = WEIGHTS.index("slowness")
_WALK = len(WEIGHTS)
_SHARED = _WALK + 1


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a processor's weights before its first outcome."""

    latency: tuple[float, ...]
    """mean of each weight for ln(latency / 1 s)"""
    power: tuple[float, ...]
    """mean of each weight for ln(power / 1 W)"""
    deviation: tuple[float, ...]
    """standard deviation of each weight for latency; for power it is `POWER_SHARE` of that"""
    offset_deviation: float = 0.4
    """of a task's own offset at a precision"""


POWER_SHARE = 0.5

BOARD_PRIOR = Prior(
    #        level      macs layers fp16  int8  slow slow2 cpu  mem  weak very
    latency=(log(0.02), 0.8, 0.2, -0.4, -0.6, 0.85, 0.0, 0.5, 0.4, 0.0, 0.0),
    power=(log(6.0), 0.05, 0.0, 0.0, 0.0, -0.8, 0.3, 0.2, 0.1, 0.0, 0.0),
    deviation=(1.5, 0.3, 0.3, 0.4, 0.5, 0.2, 0.2, 0.5, 0.4, 0.0, 0.0),
)
"""Round figures, wide on purpose: latency nearly proportional to work, and nearly inversely to frequency; power that
falls with frequency, less and less as it nears what the rest of the board draws."""

REMOTE_PRIOR = Prior(
    latency=(log(0.04), 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.8),
    power=(log(5.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.1, 0.0, 0.0),
    deviation=(1.5, 0.3, 0.2, 0.2, 0.2, 0.0, 0.0, 0.3, 0.2, 0.4, 0.5),
)
"""Time mostly on the air, which a weak signal stretches: between -58 and -78 dBm the median 802.11n goodput falls from
11 to 1 Mbit/s (adamiaonr/wifi-vehicles, feup-exp-201901, CC BY 4.0), 2.4 in natural logarithm."""


def flat(prior: Prior) -> Prior:
    """The same model with nothing known of its weights: means 0, wide deviations, only the levels kept."""
    nothing = (0.0,) * (len(WEIGHTS) - 1)
    wide = tuple(2.0 if deviation else 0.0 for deviation in prior.deviation)
    return replace(
        prior,
        latency=(prior.latency[0], *nothing),
        power=(prior.power[0], *nothing),
        deviation=wide,
        offset_deviation=2.0,
    )


@dataclass(frozen=True, slots=True)
class Drift:
    """How the world may change behind the model's back."""

    walk_deviation: float = 0.02
    """of one step of the walk, in ln(latency); 0 holds it still"""
    reversion: float = 0.99
    """share of the walk that is left after a step"""
    discount: float = 0.99
    """what an old outcome is worth after each newer one of its processor; 1 forgets nothing"""
    alarm: float = 8.0
    """CUSUM of standardised residuals at which a processor's walk is set free; infinite for never"""
    slack: float = 0.5
    """residual, in standard deviations, that the CUSUM lets pass"""


NO_DRIFT = Drift(walk_deviation=0.0, reversion=1.0, discount=1.0, alarm=float("inf"))

NOISE = 0.05
"""standard deviation of ln(latency) from one trial to the next that is assumed before any residual was seen"""
LEAST_NOISE = 0.01
"""below which that deviation is never thought to fall"""
_BATCH = 10
"""outcomes that are discounted at once, to save time"""
_SETTLING = 0.05
"""share of the newest squared residual in the running noise variance"""


class LogLinear:
    """Latency and power of all actions of a board.

    Actions lie in a grid of `shape` (processors, slots); `place` says where each stands.
    """

    def __init__(self, actions: Sequence[Action], priors: Sequence[Prior], drift: Drift) -> None:
        """`priors` holds one for each of `processors_of(actions)`."""
        self.processors = processors_of(actions)
        self._priors, self._drift = priors, drift
        self._processor = {name: i for i, name in enumerate(self.processors)}
        members = [[action for action in actions if action.target == name] for name in self.processors]
        slots = max(len(group) for group in members)
        self.place = {action: (p, i) for p, group in enumerate(members) for i, action in enumerate(group)}
        self.shape = len(members), slots
        self._span = np.zeros((*self.shape, _BASIS))
        for action, (p, i) in self.place.items():
            self._span[p, i] = _coefficients(action, members[p])
        self._squared = (self._span[:, :, :, None] * self._span[:, :, None, :]).reshape(*self.shape, -1)
        self._tasks: dict[str, Array] = {}
        n = len(members)
        self._beliefs = np.zeros((n, _SHARED + 2, _SHARED))
        for p, prior in enumerate(priors):
            np.fill_diagonal(self._beliefs[p], np.add((*np.square(prior.deviation), self._stationary), 1e-12))
            self._beliefs[p, _SHARED:, :_WALK] = prior.latency, prior.power
        self._ceiling = self._beliefs[:, :_SHARED].diagonal(axis1=1, axis2=2).copy()
        self.noise = np.full(n, NOISE**2)
        """variance of ln(latency) of one trial, of each processor"""
        self._outcomes = [0] * n
        self._cusum = [(0.0, 0.0)] * n
        self.alarms = 0
        """how often a processor was found to have changed"""

    @property
    def _stationary(self) -> float:
        reverting = 1.0 - self._drift.reversion**2
        return self._drift.walk_deviation**2 / reverting if reverting else 0.0

    def predict(self, state: State) -> tuple[Array, Array]:
        """Means of (ln latency, ln power), shape (processors, 2, slots), and the variance of the former's mean.

        The variance of ln(power) is `POWER_SHARE`**2 of it. Neither holds the noise of a trial.
        """
        basis = self._basis(state)
        seen = self._beliefs @ basis
        small = basis.transpose(0, 2, 1) @ seen[:, :-2]
        variance = self._squared @ small.reshape(len(small), -1, 1)
        return seen[:, -2:] @ self._span.transpose(0, 2, 1), variance[:, :, 0]

    def learn(self, state: State, action: Action, ln_latency: float, ln_power: float) -> None:
        """One outcome."""
        p, slot = self.place[action]
        x = self._basis(state)[p] @ self._span[p, slot]
        beliefs = self._beliefs[p]
        seen = beliefs @ x
        noise = float(self.noise[p])
        variance = float(x @ seen[:-2]) + noise
        gain = seen[:-2] / variance
        error = ln_latency - float(seen[-2])
        seen[-2] = -error
        seen[-1] -= ln_power
        beliefs -= seen[:, None] * gain
        surprise = min(error * error / variance, 9.0)
        self.noise[p] = max(noise * (1.0 + _SETTLING * (surprise - 1.0)), LEAST_NOISE**2)
        self._age(p)
        self._watch(p, error / sqrt(variance))

    def _age(self, p: int) -> None:
        drift, beliefs = self._drift, self._beliefs
        self._outcomes[p] += 1
        if drift.discount < 1.0 and self._outcomes[p] % _BATCH == 0:
            covariance = beliefs[p, :-2]
            room = self._ceiling[p] / covariance.diagonal()
            swell = np.sqrt(np.minimum(np.maximum(room, 1.0), drift.discount**-_BATCH))
            covariance *= swell
            covariance *= swell[:, None]
        if drift.walk_deviation:
            beliefs[:, :, _WALK] *= drift.reversion
            beliefs[:, _WALK] *= drift.reversion
            beliefs[:, _WALK, _WALK] += drift.walk_deviation**2

    def _watch(self, p: int, residual: float) -> None:
        up, down = self._cusum[p]
        up, down = max(0.0, up + residual - self._drift.slack), max(0.0, down - residual - self._drift.slack)
        if max(up, down) > self._drift.alarm:
            self._beliefs[p, _WALK, _WALK] += 1.0
            self.alarms += 1
            up = down = 0.0
        self._cusum[p] = up, down

    def _basis(self, state: State) -> Array:
        """Directions in which the actions of each processor differ, shape (processors, weights, _BASIS).

        The first holds all that they share in this state.
        """
        basis = self._tasks.get(state.task.name)
        if basis is None:
            basis = self._meet(state.task.name, state.task.network)
        basis[:, _CO_CPU, 0] = state.co_cpu
        basis[:, _CO_CPU + 1, 0] = state.co_memory
        for target, rssi_dbm in (("cloud", state.rssi_dbm), ("edge", state.peer_rssi_dbm)):
            p = self._processor.get(target)
            if p is not None:
                basis[p, _VERY_WEAK - 1, 0] = max(-55.0 - rssi_dbm, 0.0) / 10.0
                basis[p, _VERY_WEAK, 0] = max(-70.0 - rssi_dbm, 0.0) / 10.0
        return basis

    def _meet(self, name: str, network: Network) -> Array:
        """Make room for a new task's offsets, one a precision."""
        self._grow(len(PRECISIONS))
        for known, basis in self._tasks.items():
            self._tasks[known] = np.pad(basis, ((0, 0), (0, len(PRECISIONS)), (0, 0)))
        size = self._beliefs.shape[-1]
        layers = max(network.conv_layers + network.fc_layers + network.rc_layers, 1)
        basis = np.zeros((len(self.processors), size, _BASIS))
        basis[:, :3, 0] = 1.0, log(max(network.macs, 1) / 1e9), log(layers / 50.0)
        basis[:, _WALK, 0] = 1.0
        for column, precision in enumerate(PRECISIONS, start=1):
            basis[:, size - len(PRECISIONS) + column - 1, column] = 1.0
            if precision in WEIGHTS:
                basis[:, WEIGHTS.index(precision), column] = 1.0
        basis[:, _SLOWNESS, -2] = basis[:, _SLOWNESS + 1, -1] = 1.0
        self._tasks[name] = basis
        return basis

    def _grow(self, more: int) -> None:
        covariance, weights = self._beliefs[:, :-2], self._beliefs[:, -2:]
        room = ((0, 0), (0, more), (0, more))
        covariance, weights = np.pad(covariance, room), np.pad(weights, ((0, 0), (0, 0), (0, more)))
        self._ceiling = np.pad(self._ceiling, ((0, 0), (0, more)))
        for p, prior in enumerate(self._priors):
            self._ceiling[p, -more:] = prior.offset_deviation**2
            covariance[p, range(-more, 0), range(-more, 0)] = prior.offset_deviation**2
        self._beliefs = np.concatenate((covariance, weights), axis=1)

    def beliefs(self) -> dict[str, Prior]:
        """Processor -> its shared weights as they stand, to start another board from."""
        return {
            name: replace(
                self._priors[p],
                latency=tuple(self._beliefs[p, -2, :_WALK].tolist()),
                power=tuple(self._beliefs[p, -1, :_WALK].tolist()),
                deviation=tuple(np.sqrt(self._beliefs[p].diagonal()[:_WALK]).tolist()),
            )
            for p, name in enumerate(self.processors)
        }


_BASIS = 1 + len(PRECISIONS) + 2


def processors_of(actions: Sequence[Action]) -> tuple[str, ...]:
    """The targets of the actions, in their order."""
    return tuple(dict.fromkeys(action.target for action in actions))


def default_priors(actions: Sequence[Action]) -> list[Prior]:
    """The prior of each of `processors_of(actions)`."""
    return [REMOTE_PRIOR if name in REMOTE_TARGETS else BOARD_PRIOR for name in processors_of(actions)]


def _coefficients(action: Action, members: Sequence[Action]) -> list[float]:
    slowness = 0.0
    if action.frequency_hz is not None:
        slowness = log(max(other.frequency_hz or 0.0 for other in members) / action.frequency_hz)
    return [1.0, *(float(action.precision == precision) for precision in PRECISIONS), slowness, slowness**2]
