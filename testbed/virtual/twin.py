"""A virtual board after a real one: the law's parameters, solved for so that it gives back a calibrated power model.

What the power model does not tell stays simple: no stalls, no throttling, one memory bandwidth a processor, and without
a thermal steady state a temperature that never moves. Kinds of network that were not calibrated take after the nearest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from scheduler.power_model import read_facts
from testbed.virtual import silicon
from testbed.virtual.networks import ATTENTION, DENSE, INVERTED, SEPARABLE, work_of
from testbed.virtual.profile import Anchor, Circuit, Processor, Profile, Stalls
from testbed.virtual.thermal import Cooling

_NEAREST: Mapping[str, Sequence[str]] = {
    DENSE: (DENSE, ATTENTION, SEPARABLE, INVERTED),
    ATTENTION: (ATTENTION, DENSE, SEPARABLE, INVERTED),
    SEPARABLE: (SEPARABLE, INVERTED, DENSE, ATTENTION),
    INVERTED: (INVERTED, SEPARABLE, DENSE, ATTENTION),
}
JITTER = 0.02
"""standard deviation of log latency: not in a power model, a proposal"""
LEAKAGE_SCALE_K = 35.0
"""as the built-in profiles have it; a power model tells the slope only"""
_HOSTS_S = (0.0, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4)
_KERNELS_S = (0.0, 5e-7, 1e-6, 1.5e-6, 2e-6, 2.5e-6, 3e-6, 4e-6, 5e-6, 7e-6, 1e-5)
"""overheads tried, of an inference and of each kernel"""
_LEAST_COMPUTE = 0.05
"""of the body's time, for a rate to be told at all"""
_NO_CLOCK_HZ = 1e9
"""stands for a clock that cannot be set; only ratios of it count"""


@dataclass(frozen=True, slots=True)
class TabledRadio:
    """Powers of the Wi-Fi module at calibrated signals, above what it idles at."""

    rssi_dbm: tuple[float, ...] = (0.0,)
    transmit: tuple[float, ...] = (0.0,)
    receive: tuple[float, ...] = (0.0,)
    idle_w: float = 0.0
    """part of the board's idle power already"""

    def transmit_w(self, rssi_dbm: float) -> float:
        """Interpolated."""
        return float(np.interp(rssi_dbm, self.rssi_dbm, self.transmit))

    def receive_w(self, rssi_dbm: float) -> float:
        """Interpolated."""
        return float(np.interp(rssi_dbm, self.rssi_dbm, self.receive))


@dataclass(frozen=True, slots=True)
class _Seen:
    """Inferences of one network at one precision on one processor, by ascending frequency."""

    precision: str
    kind: str
    macs: float
    bytes_moved: float
    kernels: int
    relative_hz: np.ndarray[Any, np.dtype[np.float64]]
    latency_s: np.ndarray[Any, np.dtype[np.float64]]
    excess_w: np.ndarray[Any, np.dtype[np.float64]]


def profile_of(content: bytes, name: str) -> Profile:
    """The profile of a power-model file. Raises ValueError for a file that tells too little."""
    facts = read_facts(content, name)
    if not facts["verdict"]["good_enough"]:
        raise ValueError(f"{name} is not good enough for a twin: {'; '.join(facts['verdict']['reasons'])}")
    thermal, idle = facts["thermal"], facts["idle"]
    cores = int(facts["board"]["cores"])
    core_w = facts["cpu"]["full_w"] / cores
    targets = sorted({str(row["target"]) for row in facts["inferences"]})
    if not targets:
        raise ValueError(f"{name} holds no inferences: a twin cannot tell how long one takes")
    return Profile(
        model=f"twin of {facts['board']['model']}",
        cores=cores,
        idle_w=idle["power_w"],
        leakage_share=0.0 if thermal is None else idle["w_per_k"] * LEAKAGE_SCALE_K / idle["power_w"],
        leakage_reference_c=25.0 if idle["reference_c"] is None else idle["reference_c"],
        leakage_scale_k=LEAKAGE_SCALE_K,
        cpu_full_w=facts["cpu"]["full_w"],
        memory_full_w=facts["memory"]["full_w"],
        cooling=Cooling(
            resistance_k_per_w=0.0 if thermal is None else thermal["resistance_k_per_w"],
            time_constant_s=1.0 if thermal is None else thermal["time_constant_s"],
            throttle_at_c=1000.0,
            release_at_c=1000.0,
        ),
        radio=_radio(facts["radio"]),
        processors=MappingProxyType({target: _processor(target, facts, cores, core_w) for target in targets}),
    )


def _radio(radio: Mapping[str, Any]) -> TabledRadio:
    """One module serves every target: the first that was calibrated tells its powers."""
    for found in radio.values():
        return TabledRadio(tuple(found["rssi_dbm"]), tuple(found["transmit_w"]), tuple(found["receive_w"]))
    return TabledRadio()


def _processor(target: str, facts: Mapping[str, Any], cores: int, core_w: float) -> Processor:
    steps = tuple(facts["board"]["frequencies_hz"].get(target) or (_NO_CLOCK_HZ,))
    seen = _seen(target, facts["inferences"], steps[-1])
    host_s, kernel_s, bandwidth = _latency_law(seen)
    flat = Circuit(
        frequencies_hz=steps,
        throttled_hz=steps[0],
        voltage_floor=1.0,
        voltage_knee=0.0,
        bandwidth_bytes_per_s=bandwidth,
        threads=cores if target.startswith("cpu") else 1,
        host_s=host_s,
        host_w=core_w,
        jitter=JITTER,
        stalls=Stalls(probability=0.0, least_s=1e-3, shape=2.5),
    )
    floor, knee = _voltage(_scaling(target, facts["cpu"], seen, flat, kernel_s))
    circuit = replace(flat, voltage_floor=floor, voltage_knee=knee)
    known: dict[tuple[str, str], list[Anchor]] = {}
    for one in seen:
        known.setdefault((one.precision, one.kind), []).append(_anchor(one, circuit, kernel_s))
    anchors = {}
    for precision in dict.fromkeys(one.precision for one in seen):
        for kind, nearest in _NEAREST.items():
            found = next(known[precision, near] for near in nearest if (precision, near) in known)
            rate = float(np.exp(np.mean([np.log(anchor.rate_macs_per_s) for anchor in found])))
            anchors[precision, kind] = Anchor(rate, float(np.mean([anchor.power_w for anchor in found])), kernel_s)
    return Processor(circuit, MappingProxyType(anchors))


def _seen(target: str, rows: Sequence[Mapping[str, Any]], highest_hz: float) -> list[_Seen]:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["target"] == target:
            groups.setdefault((row["network"], row["precision"]), []).append(row)
    found = []
    for (network, precision), group in groups.items():
        group.sort(key=lambda row: row["frequency_hz"] or highest_hz)
        macs, moved = float(group[0]["macs"]), float(group[0]["bytes_moved"])
        columns = np.array(
            [[(row["frequency_hz"] or highest_hz) / highest_hz, row["latency_s"], row["excess_w"]] for row in group]
        ).T
        work = work_of(network, precision, macs, moved)
        found.append(_Seen(precision, work.kind, macs, moved, work.kernels, *columns))
    return found


def _scaling(
    target: str, cpu: Mapping[str, Any], seen: Sequence[_Seen], circuit: Circuit, kernel_s: float
) -> list[tuple[float, float]]:
    """(relative frequency, relative power) of something that computes all the time."""
    if target.startswith("cpu") and cpu["frequencies_hz"]:
        pairs = zip(cpu["frequencies_hz"], cpu["busy_core_w"], strict=True)
        return [(hz / circuit.highest_hz, power_w / cpu["busy_core_w"][-1]) for hz, power_w in pairs]
    longest = max(seen, key=lambda one: (len(one.relative_hz), one.latency_s[-1]))
    powers_w = np.maximum(_full_power_w(longest, circuit, kernel_s), 1e-9)
    return list(zip(longest.relative_hz.tolist(), (powers_w / powers_w[-1]).tolist(), strict=True))


def _voltage(scaling: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The floor and the knee of the voltage that fit best."""
    if len(scaling) < 2:
        return 1.0, 0.0
    relative_hz, power = np.array(scaling).T

    def misfit(floor: float, knee: float) -> float:
        voltage = floor + (1.0 - floor) * np.maximum(0.0, (relative_hz - knee) / (1.0 - knee))
        return float(np.sum((relative_hz * voltage**2 / power - 1.0) ** 2))

    return min(
        product(np.linspace(0.3, 1.0, 71).tolist(), np.linspace(0.0, 0.9, 46).tolist()),
        key=lambda found: misfit(*found),
    )


def _latency_law(seen: Sequence[_Seen]) -> tuple[float, float, float]:
    """The overhead, that of a kernel, and the bandwidth under which latencies scale with the clock as they did."""
    least = max(float((one.bytes_moved / one.latency_s).max()) for one in seen)
    bandwidths = (least * np.geomspace(1.0, 100.0, 40)).tolist()
    overheads = [
        (host_s, kernel_s)
        for host_s, kernel_s in product(_HOSTS_S, _KERNELS_S)
        if all(host_s + kernel_s * one.kernels <= 0.9 * one.latency_s.min() for one in seen)
    ]

    def misfit(host_s: float, kernel_s: float, bandwidth: float) -> float:
        total = 0.0
        for one in seen:
            overhead_s = host_s + kernel_s * one.kernels
            scaled_s = _compute_s(one, overhead_s, bandwidth) * one.relative_hz[-1] / one.relative_hz
            memory_s = one.bytes_moved / bandwidth
            latency_s = overhead_s + (scaled_s**silicon.CORNER + memory_s**silicon.CORNER) ** (1.0 / silicon.CORNER)
            total += float(np.sum(np.log(latency_s / one.latency_s) ** 2))
        return total

    return min(((*overhead, b) for overhead, b in product(overheads, bandwidths)), key=lambda found: misfit(*found))


def _compute_s(one: _Seen, overhead_s: float, bandwidth: float) -> float:
    """What of the latency at the highest frequency seen is arithmetic."""
    body_s = float(one.latency_s[-1]) - overhead_s
    left = body_s**silicon.CORNER - (one.bytes_moved / bandwidth) ** silicon.CORNER
    return max(float(max(left, 0.0) ** (1.0 / silicon.CORNER)), _LEAST_COMPUTE * body_s)


def _full_power_w(one: _Seen, circuit: Circuit, kernel_s: float) -> Any:
    """Power at each frequency seen, had nothing waited for memory. Shape (frequencies,)."""
    overhead_s = circuit.host_s + kernel_s * one.kernels
    body_s = one.latency_s - overhead_s
    body_w = np.maximum(0.0, (one.excess_w * one.latency_s - circuit.host_w * overhead_s) / body_s)
    compute_s = _compute_s(one, overhead_s, circuit.bandwidth_bytes_per_s) * one.relative_hz[-1] / one.relative_hz
    activity = [silicon.activity_of(*times_s) for times_s in zip(compute_s.tolist(), body_s.tolist(), strict=True)]
    return body_w / np.array(activity)


def _anchor(one: _Seen, circuit: Circuit, kernel_s: float) -> Anchor:
    overhead_s = circuit.host_s + kernel_s * one.kernels
    rate = one.macs / (_compute_s(one, overhead_s, circuit.bandwidth_bytes_per_s) * float(one.relative_hz[-1]))
    scale = silicon.power_scale(circuit, float(one.relative_hz[-1]) * circuit.highest_hz)
    return Anchor(rate, float(_full_power_w(one, circuit, kernel_s)[-1]) / scale, kernel_s)
