"""The law that governs a virtual board: how long an inference takes there, and what it draws.

A roofline with a soft corner: compute time and memory time combine in a p-norm, after an overhead per inference and per
kernel. A CPU co-runner takes cores once all are wanted; a memory co-runner eats bandwidth inside the roofline, so a
network is hurt as far as it waits for memory. Time varies log-normally, with rare Pareto stalls. Power is C V(f)^2 f
times activity, above a base of idle power, leakage that grows with temperature, and the co-runner.

The law knows nothing of clocks and files: it can be drawn from as fast as numpy goes. The constants of this module are
proposals: no published figure tells them apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from testbed.agent.contract import CoRun
from testbed.virtual.networks import ATTENTION, DENSE, INVERTED, SEPARABLE, Work
from testbed.virtual.profile import Anchor, Circuit, Profile, Stalls

Values = float | NDArray[np.float64]

CORNER = 4.0
"""exponent of the roofline's p-norm; infinity would be its sharp corner"""
CROWDING = 6.0
"""exponent of the smooth maximum of the cores there are and the cores wanted"""
HALF_BANDWIDTH = 0.55
"""memory load of a co-runner that leaves half the bandwidth"""
WAITING_ACTIVITY = 0.35
"""activity of a processor that only waits for memory, its clock running"""
CROWDED_JITTER = 0.15
"""deviation of log latency per unit of slow-down by a CPU co-runner"""
CROWDED_STALLS = 0.03
"""probability of a stall per unit of slow-down by a CPU co-runner"""

WAVES = MappingProxyType(
    {
        DENSE: ((0.06, 0.5), (0.30, 1.12), (0.44, 1.04), (0.20, 0.84)),
        SEPARABLE: ((0.10, 0.6), (0.40, 1.14), (0.30, 0.98), (0.20, 0.80)),
        INVERTED: ((0.10, 0.6), (0.45, 1.16), (0.25, 0.96), (0.20, 0.80)),
        ATTENTION: ((0.05, 0.4), (0.22, 1.08), (0.22, 0.98), (0.22, 1.08), (0.22, 0.98), (0.07, 0.85)),
    }
)
"""(share of the time, relative power) of an inference's phases: load, the body's layers, tail"""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(48)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance does to inferences; arrays of one shape."""

    factor: NDArray[np.float64]
    """multiplies overhead and body; mean 1"""
    stall_s: NDArray[np.float64]


def fates(
    random: np.random.Generator,
    deviation: Values,
    probability: Values,
    least_s: Values,
    shape: Values,
    size: tuple[int, ...],
) -> Draws:
    """Fates independent of each other, of inferences alike or, where the arguments are arrays, each of its own law.

    `deviation` is that of log latency; the rest are the fields of `Stalls`.
    """
    factor = np.exp(deviation * random.standard_normal(size) - 0.5 * deviation**2)
    stalled = random.random(size) < probability
    length_s = least_s * (1.0 - random.random(size)) ** (-1.0 / shape)
    return Draws(factor, np.where(stalled, length_s, 0.0))


@dataclass(frozen=True, slots=True)
class Inference:
    """The law of one network on one processor under one load: everything but chance."""

    overhead_s: float
    body_s: float
    host_w: float
    body_w: float
    waves: tuple[tuple[float, float], ...]
    deviation: float
    """of log latency"""
    stalls: Stalls

    @property
    def busy_s(self) -> float:
        """Mean latency without stalls."""
        return self.overhead_s + self.body_s

    @property
    def busy_j(self) -> float:
        """Mean extra energy, above the board's base power."""
        return self.host_w * self.overhead_s + self.body_w * self.body_s

    def draw(self, random: np.random.Generator, size: int) -> Draws:
        """`size` fates, independent of each other."""
        stalls = self.stalls
        return fates(random, self.deviation, stalls.probability, stalls.least_s, stalls.shape, (size,))

    def latency_s(self, draws: Draws) -> NDArray[np.float64]:
        """Latency of each."""
        return self.busy_s * draws.factor + draws.stall_s

    def extra_j(self, draws: Draws) -> NDArray[np.float64]:
        """Energy of each above the board's base power."""
        return self.busy_j * draws.factor

    def mean_latency_s(self) -> float:
        """In closed form."""
        return self.busy_s + self.stalls.probability * self.stalls.mean_s

    def p_within(self, limit_s: float) -> float:
        """P(latency <= limit_s): exact but for a Gauss-Hermite sum over the body's distribution."""
        sure = NormalDist(math.log(self.busy_s) - 0.5 * self.deviation**2, self.deviation)
        unstalled = sure.cdf(math.log(limit_s)) if limit_s > 0.0 else 0.0
        bodies_s = self.busy_s * np.exp(self.deviation * _NODES - 0.5 * self.deviation**2)
        left_s = np.maximum(limit_s - bodies_s, self.stalls.least_s)
        stalled = float(_WEIGHTS @ (1.0 - (self.stalls.least_s / left_s) ** self.stalls.shape))
        return (1.0 - self.stalls.probability) * unstalled + self.stalls.probability * stalled

    def phases(self, factor: float, stall_s: float) -> list[tuple[float, float]]:
        """(duration in s, extra power in W) of one inference, in order. A stalled processor draws nothing extra."""
        body_s = self.body_s * factor
        phases = [(self.overhead_s * factor, self.host_w)]
        phases += [(share * body_s, relative * self.body_w) for share, relative in self.waves]
        return [*phases[:-1], (stall_s, 0.0), phases[-1]] if stall_s else phases


def inference(
    profile: Profile,
    name: str,
    work: Work,
    precision: str,
    frequency_hz: float | None,
    co_run: CoRun,
    throttled: bool,
) -> Inference:
    """The law of `work` on the processor `name` at a frequency (None: the highest), beside a co-runner.

    Raises ValueError when the board has no such processor, or that cannot run the precision.
    """
    processor = profile.processor(name)
    circuit = processor.circuit
    anchor = processor.anchor(name, precision, work.kind)
    frequency_hz = circuit.highest_hz if frequency_hz is None else frequency_hz
    if throttled:
        frequency_hz = min(frequency_hz, circuit.throttled_hz)
    crowd = crowding(circuit.threads, profile.cores, co_run.cpu)
    of_cpu = circuit.threads > 1
    body_s, activity = _body(circuit, anchor, work, frequency_hz, crowd if of_cpu else 1.0, co_run.memory)
    body_w = anchor.power_w * activity * power_scale(circuit, frequency_hz)
    if of_cpu:
        body_w *= _share_gained(circuit.threads / profile.cores, co_run.cpu)
    stalls = circuit.stalls
    return Inference(
        overhead_s=(circuit.host_s + anchor.kernel_s * work.kernels) * crowd,
        body_s=body_s,
        host_w=circuit.host_w,
        body_w=body_w,
        waves=_normalised(WAVES[work.kind]),
        deviation=math.hypot(circuit.jitter, CROWDED_JITTER * (crowd - 1.0)),
        stalls=Stalls(stalls.probability + CROWDED_STALLS * (crowd - 1.0), stalls.least_s, stalls.shape),
    )


def _body(
    circuit: Circuit, anchor: Anchor, work: Work, frequency_hz: float, crowd: float, co_memory: float
) -> tuple[float, float]:
    """Seconds, and the activity over them."""
    compute_s = work.macs / (anchor.rate_macs_per_s * frequency_hz / circuit.highest_hz) * crowd
    body_s = roofline_s(compute_s, memory_s(circuit, work, co_memory))
    return body_s, activity_of(compute_s, body_s)


def roofline_s(compute_s: float, waiting_s: float) -> float:
    """Compute and memory overlap, except about the corner where neither hides the other."""
    longer_s = max(compute_s, waiting_s)
    return longer_s * math.pow((compute_s / longer_s) ** CORNER + (waiting_s / longer_s) ** CORNER, 1.0 / CORNER)


def memory_s(circuit: Circuit, work: Work, co_memory: float) -> float:
    """Time the network's traffic takes in what bandwidth a memory co-runner leaves."""
    left = 1.0 / (1.0 + (co_memory / HALF_BANDWIDTH) ** 2)
    return work.bytes_moved / (circuit.bandwidth_bytes_per_s * left)


def activity_of(compute_s: float, body_s: float) -> float:
    """1 when the units never wait."""
    return WAITING_ACTIVITY + (1.0 - WAITING_ACTIVITY) * compute_s / body_s


def power_scale(circuit: Circuit, frequency_hz: float) -> float:
    """Dynamic power C V^2 f relative to that at the highest frequency."""
    return frequency_hz / circuit.highest_hz * circuit.voltage(frequency_hz) ** 2


def crowding(threads: int, cores: int, co_cpu: float) -> float:
    """Slow-down of `threads` beside a load of `co_cpu` of all cores: hardly any until the cores run out."""

    def excess(wanted: float) -> float:
        return math.pow(1.0 + wanted**CROWDING, 1.0 / CROWDING)

    own = threads / cores
    return excess(own + co_cpu) / excess(own)


def base_power_w(profile: Profile, co_run: CoRun, temperature_c: float) -> float:
    """What the board draws whether or not it infers."""
    leakage_w = profile.leakage_share * profile.idle_w
    warmth = (temperature_c - profile.leakage_reference_c) / profile.leakage_scale_k
    return (
        profile.idle_w
        + leakage_w * math.expm1(warmth)
        + profile.cpu_full_w * co_run.cpu
        + profile.memory_full_w * co_run.memory
    )


def load_power_w(profile: Profile, busy_cores: float, frequency_hz: float | None, throttled: bool) -> float:
    """Extra power of cores kept busy by something that never waits for memory."""
    circuit = profile.processor("cpu").circuit
    frequency_hz = circuit.highest_hz if frequency_hz is None else frequency_hz
    if throttled:
        frequency_hz = min(frequency_hz, circuit.throttled_hz)
    return profile.cpu_full_w * busy_cores / profile.cores * power_scale(circuit, frequency_hz)


def _share_gained(own: float, co_cpu: float) -> float:
    """Cores an inference makes busy that the co-runner left idle, relative to those it wants."""
    return (min(1.0, own + co_cpu) - co_cpu) / own


def _normalised(waves: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    shares = sum(share for share, _ in waves)
    mean = sum(share * power for share, power in waves) / shares
    return tuple((share / shares, power / mean) for share, power in waves)
