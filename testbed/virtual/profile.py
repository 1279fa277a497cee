"""What a virtual board is made of, as plain values. The law that runs on them is `silicon`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from testbed.virtual.networks import ITEM_BYTES
from testbed.virtual.thermal import Cooling


@dataclass(frozen=True, slots=True)
class Stalls:
    """Rare, long waits (page faults, interrupts, a preempted thread): Pareto-distributed."""

    probability: float
    least_s: float
    shape: float
    """tail index, above 1: the mean is least_s * shape / (shape - 1)"""

    @property
    def mean_s(self) -> float:
        """Mean length of one stall."""
        return self.least_s * self.shape / (self.shape - 1.0)


@dataclass(frozen=True, slots=True)
class Circuit:
    """A processor apart from how fast it computes a given kind of network."""

    frequencies_hz: tuple[float, ...]
    """ascending; a processor whose clock is fixed has one"""
    throttled_hz: float
    """what remains of its clock when the board throttles"""
    voltage_floor: float
    """supply voltage at and below `voltage_knee`, relative to that at the highest frequency"""
    voltage_knee: float
    """relative frequency from which the voltage rises, in a straight line, to 1"""
    bandwidth_bytes_per_s: float
    """of memory, as this processor reaches it alone"""
    threads: int
    """of the host's cores an inference keeps busy"""
    host_s: float
    """host work before the first kernel"""
    host_w: float
    """extra power while the host prepares and launches"""
    jitter: float
    """standard deviation of log latency, undisturbed"""
    stalls: Stalls

    @property
    def highest_hz(self) -> float:
        return self.frequencies_hz[-1]

    def voltage(self, frequency_hz: float) -> float:
        """Relative to that at the highest frequency."""
        rise = (frequency_hz / self.highest_hz - self.voltage_knee) / (1.0 - self.voltage_knee)
        return self.voltage_floor + (1.0 - self.voltage_floor) * max(0.0, rise)


@dataclass(frozen=True, slots=True)
class Anchor:
    """How a processor takes one kind of network at one precision, at its highest frequency."""

    rate_macs_per_s: float
    """when nothing waits for memory"""
    power_w: float
    """extra power when nothing waits for memory"""
    kernel_s: float
    """what each kernel costs whatever the clock"""


@dataclass(frozen=True, slots=True)
class Processor:
    """One place on the board that computes."""

    circuit: Circuit
    anchors: Mapping[tuple[str, str], Anchor]
    """(precision, kind of network) -> how it is taken"""

    @property
    def precisions(self) -> tuple[str, ...]:
        """Widest first."""
        known = {precision for precision, _ in self.anchors}
        return tuple(precision for precision in ITEM_BYTES if precision in known)

    def anchor(self, name: str, precision: str, kind: str) -> Anchor:
        """Raises ValueError, naming the precisions there are, when the processor cannot run this one."""
        try:
            return self.anchors[precision, kind]
        except KeyError:
            raise ValueError(f"{name} cannot run {precision}: it runs {', '.join(self.precisions)}") from None


@dataclass(frozen=True, slots=True)
class Radio:
    """Power of the Wi-Fi module."""

    idle_w: float
    """associated, nothing passing; part of the board's idle power"""
    near_w: float
    """sending, at a strong signal"""
    far_w: float
    """sending, at the weakest"""
    turning_dbm: float
    """signal at which half the rise is reached"""
    width_db: float
    listening_w: float
    """receiving"""

    def transmit_w(self, rssi_dbm: float) -> float:
        """Rises as the signal weakens, on a logistic curve."""
        nearness = 1.0 / (1.0 + math.exp((self.turning_dbm - rssi_dbm) / self.width_db))
        return self.far_w + (self.near_w - self.far_w) * nearness

    def receive_w(self, rssi_dbm: float) -> float:
        """The same at any signal."""
        return self.listening_w


class RadioPower(Protocol):
    """What a Wi-Fi module draws."""

    @property
    def idle_w(self) -> float:
        """Part of the board's idle power."""

    def transmit_w(self, rssi_dbm: float) -> float: ...

    def receive_w(self, rssi_dbm: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Profile:
    """One board."""

    model: str
    cores: int
    idle_w: float
    """board power with nothing to do at `leakage_reference_c`, leakage included"""
    leakage_share: float
    """of `idle_w`"""
    leakage_reference_c: float
    leakage_scale_k: float
    """leakage grows by e for every such rise in temperature"""
    cpu_full_w: float
    """extra power of all cores busy at their highest frequency"""
    memory_full_w: float
    """extra power of saturated memory"""
    cooling: Cooling
    radio: RadioPower
    processors: Mapping[str, Processor]

    def processor(self, name: str) -> Processor:
        """Raises ValueError, naming those there are, when the board has no such processor."""
        try:
            return self.processors[name]
        except KeyError:
            known = ", ".join(self.processors)
            raise ValueError(f"the virtual {self.model} has no processor {name!r}: it has {known}") from None
