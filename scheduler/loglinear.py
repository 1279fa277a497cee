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

from scheduler.contract import Action, Network, State
from scheduler.priors import PRECISIONS, WEIGHTS, Prior, processors_of

Array = NDArray[np.float64]
Prediction = tuple[Array, Array, Array]

_CO_CPU = WEIGHTS.index("co_cpu")
_SLOWNESS = WEIGHTS.index("slowness")
_WALK = len(WEIGHTS)
_SHARED = _WALK + 1
_SLOW = len(PRECISIONS)
_DIRECTIONS = _SLOW + 2


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


@dataclass(frozen=True, slots=True)
class Posterior:
    """All that a `LogLinear` has learnt."""

    tasks: tuple[str, ...]
    unit: float
    """of the walk's weight"""
    beliefs: Array
    """shape (processors, weights, weights + 2): covariance, then the means for ln(latency) and for ln(power). The
    weights are the shared ones, the walk, and one offset a precision for each task."""
    noise: tuple[float, ...]
    """variance of ln(latency) of one trial, of each processor"""


class LogLinear:
    """Latency and power of all actions of a board; an action is spoken of by its index among them.

    The actions of a processor differ in few directions only: their precision, ln(slowness) and its square. So a state
    makes `_DIRECTIONS` rows of weights a processor, and all that is wanted of its actions follows from what the filter
    says of those.
    """

    def __init__(self, actions: Sequence[Action], priors: Sequence[Prior], drift: Drift) -> None:
        """`priors` holds one for each of `processors_of(actions)`."""
        self.actions = tuple(actions)
        self.processors = processors_of(actions)
        self._priors, self._drift = priors, drift
        self._processor = {name: i for i, name in enumerate(self.processors)}
        self.processor_of = [self._processor[action.target] for action in actions]
        self._members = [np.flatnonzero(np.equal(self.processor_of, p)) for p in range(len(priors))]
        self._along = np.array([_coefficients(action, actions) for action in actions])
        self._spans, self._squares = _spread(self._along, self.processor_of, len(priors))
        self._tasks: dict[str, Array] = {}
        self._slots: dict[str, int] = {}
        """task -> where its own offsets stand, one a precision"""
        n = len(priors)
        self._beliefs = np.zeros((n, _SHARED, _SHARED + 2))
        for p, prior in enumerate(priors):
            np.fill_diagonal(self._beliefs[p], np.add((*np.square(prior.deviation), self._stationary), 1e-12))
            self._beliefs[p, :_WALK, _SHARED:] = np.transpose((prior.latency, prior.power))
        self._ceiling = self._beliefs.diagonal(axis1=1, axis2=2).copy()
        self._product = np.empty(self._beliefs.shape[1:])
        self._unit = 1.0
        """what 1 of the walk's weight stands for: shrinking it lets the walks of all processors revert at once"""
        self._conditions = np.zeros((n, _SHARED - _CO_CPU))
        self._cloud, self._edge = self._processor.get("cloud"), self._processor.get("edge")
        self.noise = [NOISE**2] * n
        """variance of ln(latency) of one trial, of each processor"""
        self.noise_of_actions = np.full(len(actions), NOISE**2)
        self._outcomes = [0] * n
        self._cusum = [(0.0, 0.0)] * n
        self.alarms = 0
        """how often a processor was found to have changed"""
        self._seen: tuple[State, Array, Prediction] | None = None

    @property
    def _stationary(self) -> float:
        reverting = 1.0 - self._drift.reversion**2
        return self._drift.walk_deviation**2 / reverting if reverting else 0.0

    def predict(self, state: State) -> Prediction:
        """ln(latency), ln(power) and the variance of the former's mean, each of shape (actions,).

        The variance of ln(power) is `POWER_SHARE`**2 of it. Neither holds the noise of a trial.
        """
        return self._look(state)[2]

    def learn(self, state: State, index: int, ln_latency: float, ln_power: float) -> None:
        """One outcome."""
        _, seen, (_, _, variances) = self._look(state)
        self._seen = None
        p = self.processor_of[index]
        along = self._along[index].dot(seen[p])
        noise = self.noise[p]
        variance = variances.item(index) + noise
        error = ln_latency - along.item(-2)
        gain = along[:-2] / variance
        along[-2] = -error
        along[-1] -= ln_power
        beliefs = self._beliefs[p]
        beliefs -= np.dot(gain[:, None], along[None], out=self._product)
        surprise = min(error * error / variance, 9.0)
        self.noise[p] = noise = max(noise * (1.0 + _SETTLING * (surprise - 1.0)), LEAST_NOISE**2)
        self.noise_of_actions[self._members[p]] = noise
        self._age(p)
        self._watch(p, error / sqrt(variance))

    def _look(self, state: State) -> tuple[State, Array, Prediction]:
        """The state, the filter along its directions and what follows for the actions; kept until an outcome."""
        if self._seen is None or self._seen[0] is not state:
            basis = self._basis(state)
            seen = basis @ self._beliefs
            covariance = seen[:, :, :-2] @ basis.transpose(0, 2, 1)
            latency, power = seen[:, :, -2:].reshape(-1, 2).T.dot(self._spans)
            self._seen = state, seen, (latency, power, self._squares.dot(covariance.ravel()))
        return self._seen

    def _age(self, p: int) -> None:
        drift = self._drift
        self._outcomes[p] += 1
        if self._outcomes[p] % _BATCH == 0:
            self._beliefs[:, _WALK] *= self._unit
            self._beliefs[:, :, _WALK] *= self._unit
            self._unit = 1.0
            if drift.discount < 1.0:
                self._forget(p)
        self._unit *= drift.reversion
        self._beliefs[:, _WALK, _WALK] += (drift.walk_deviation / self._unit) ** 2

    def _forget(self, p: int) -> None:
        """Widen what is believed, but never beyond the prior."""
        covariance = self._beliefs[p, :, :-2]
        room = self._ceiling[p] / covariance.diagonal()
        swell = np.sqrt(np.minimum(np.maximum(room, 1.0), self._drift.discount**-_BATCH))
        # It would let what rounding has made unlike on the two sides of the diagonal grow without bound.
        covariance += covariance.T
        covariance *= 0.5 * swell
        covariance *= swell[:, None]

    def _watch(self, p: int, residual: float) -> None:
        up, down = self._cusum[p]
        up, down = max(0.0, up + residual - self._drift.slack), max(0.0, down - residual - self._drift.slack)
        if max(up, down) > self._drift.alarm:
            self._beliefs[p, _WALK, _WALK] += 1.0 / self._unit**2
            self.alarms += 1
            up = down = 0.0
        self._cusum[p] = up, down

    def _basis(self, state: State) -> Array:
        """The directions of each processor's actions in this state, shape (processors, _DIRECTIONS, weights).

        One a precision, which holds all that its actions share, then the two of slowness.
        """
        basis = self._tasks.get(state.task.name)
        if basis is None:
            basis = self._meet(state.task.name, state.task.network)
        conditions = self._conditions
        conditions[:, 0] = state.co_cpu
        conditions[:, 1] = state.co_memory
        conditions[:, 4] = self._unit
        for remote, rssi_dbm in ((self._cloud, state.rssi_dbm), (self._edge, state.peer_rssi_dbm)):
            if remote is not None:
                conditions[remote, 2] = max(-55.0 - rssi_dbm, 0.0) / 10.0
                conditions[remote, 3] = max(-70.0 - rssi_dbm, 0.0) / 10.0
        basis[:, :_SLOW, _CO_CPU:_SHARED] = conditions[:, None]
        return basis

    def _meet(self, name: str, network: Network) -> Array:
        """The directions of a task that is new here, or new since the last one came."""
        if name not in self._slots:
            self._slots[name] = self._beliefs.shape[1]
            self._grow(len(PRECISIONS))
            self._tasks.clear()
        size, own = self._beliefs.shape[1], self._slots[name]
        layers = max(network.conv_layers + network.fc_layers + network.rc_layers, 1)
        basis = np.zeros((len(self.processors), _DIRECTIONS, size))
        sizes = log(max(network.macs, 1) / 1e9), log(layers / 50.0), log(max(network.input_bytes, 1) / 150e3)
        basis[:, :_SLOW, :4] = 1.0, *sizes
        for row, precision in enumerate(PRECISIONS):
            basis[:, row, own + row] = 1.0
            if precision in WEIGHTS:
                basis[:, row, WEIGHTS.index(precision)] = 1.0
        basis[:, _SLOW, _SLOWNESS] = basis[:, _SLOW + 1, _SLOWNESS + 1] = 1.0
        self._tasks[name] = basis
        return basis

    def _grow(self, more: int) -> None:
        """Make room for offsets."""
        size = self._beliefs.shape[1]
        self._ceiling = np.pad(self._ceiling, ((0, 0), (0, more)))
        grown = np.zeros((len(self.processors), size + more, size + more + 2))
        grown[:, :size, :size] = self._beliefs[:, :, :size]
        grown[:, :size, -2:] = self._beliefs[:, :, -2:]
        for p, prior in enumerate(self._priors):
            self._ceiling[p, size:] = prior.offset_deviation**2
            np.fill_diagonal(grown[p, size:, size:], prior.offset_deviation**2)
        self._beliefs = grown
        self._product = np.empty(grown.shape[1:])

    @property
    def posterior(self) -> Posterior:
        """A copy of what has been learnt."""
        return Posterior(tuple(self._slots), self._unit, self._beliefs.copy(), tuple(self.noise))

    def resume(self, posterior: Posterior) -> None:
        """Go on from there; in the place of what was learnt here. It must have been learnt for the same actions."""
        self._slots = {name: _SHARED + i * len(PRECISIONS) for i, name in enumerate(posterior.tasks)}
        self._ceiling, self._beliefs = self._ceiling[:, :_SHARED], self._beliefs[:, :_SHARED, : _SHARED + 2]
        self._grow(len(PRECISIONS) * len(posterior.tasks))
        self._beliefs[:] = posterior.beliefs
        self._unit = posterior.unit
        self.noise = list(posterior.noise)
        self.noise_of_actions[:] = [self.noise[p] for p in self.processor_of]
        self._tasks.clear()
        self._seen = None

    def beliefs(self) -> dict[str, Prior]:
        """Processor -> its shared weights as they stand, to start another board from."""
        return {
            name: replace(
                self._priors[p],
                latency=tuple(self._beliefs[p, :_WALK, -2].tolist()),
                power=tuple(self._beliefs[p, :_WALK, -1].tolist()),
                deviation=tuple(np.sqrt(self._beliefs[p].diagonal()[:_WALK]).tolist()),
            )
            for p, name in enumerate(self.processors)
        }


def _coefficients(action: Action, actions: Sequence[Action]) -> list[float]:
    slowness = 0.0
    if action.frequency_hz is not None:
        top_hz = max(other.frequency_hz or 0.0 for other in actions if other.target == action.target)
        slowness = log(top_hz / action.frequency_hz)
    return [*(float(action.precision == precision) for precision in PRECISIONS), slowness, slowness**2]


def _spread(along: Array, processor_of: Sequence[int], processors: int) -> tuple[Array, Array]:
    """Matrices that take the directions of all processors to the actions at once: their means, their variances."""
    spans = np.zeros((processors, _DIRECTIONS, len(along)))
    squares = np.zeros((len(along), processors, _DIRECTIONS, _DIRECTIONS))
    for i, (coefficients, p) in enumerate(zip(along, processor_of, strict=True)):
        spans[p, :, i] = coefficients
        squares[i, p] = np.outer(coefficients, coefficients)
    return spans.reshape(-1, len(along)), squares.reshape(len(along), -1)
