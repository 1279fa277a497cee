"""A meter held against a resistor of known value: what its gain and its offset are, and how well that is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from power.corrected import Correction
from power.errors import BenchError, TraceIncomplete
from power.monitor import Channel
from power.samples import Samples

LEAST_SAMPLES = 100
FARTHEST = 0.2
"""a gain further off is no error of a meter, but another resistor or another voltage than was stated"""
LEAST_LOAD_STEPS = 50
"""the load must draw so many steps of the meter"""


@dataclass(frozen=True, slots=True)
class Steady:
    """A steady power, read for a while on one channel."""

    power_w: float
    standard_uncertainty_w: float
    """of the mean, by noise and steps alone"""
    voltage_v: float | None
    """mean; None where none is measured"""
    samples: int

    @staticmethod
    def of(samples: Samples, channel: int, spec: Channel) -> Steady:
        """Raises `TraceIncomplete` on too few samples."""
        its = samples.of_channel(channel)
        if len(its) < LEAST_SAMPLES:
            raise TraceIncomplete(f"{len(its)} samples of '{spec.name}' are too few to tell its gain: measure longer")
        _, count = np.unique(np.rint(its.power_w / spec.power_lsb_w), return_counts=True)
        # Readings of one step share its rounding; ten neighbours' noise may be one, as a supply's ripple is.
        rounding_w = spec.power_lsb_w / math.sqrt(12.0) * float(np.linalg.norm(count / len(its)))
        noise_w = float(its.power_w.std(ddof=1)) / math.sqrt(len(its) / 10)
        return Steady(
            power_w=float(its.power_w.mean()),
            standard_uncertainty_w=math.hypot(rounding_w, noise_w),
            voltage_v=None if its.voltage_v is None else float(its.voltage_v.mean()),
            samples=len(its),
        )


@dataclass(frozen=True, slots=True)
class KnownLoad:
    """A resistor on a supply. Uncertainties are standard ones and relative."""

    resistance_ohm: float
    resistance_standard_uncertainty: float
    voltage_v: float
    voltage_standard_uncertainty: float

    @property
    def power_w(self) -> float:
        return self.voltage_v**2 / self.resistance_ohm

    @property
    def standard_uncertainty(self) -> float:
        """Of the power, relative: the voltage counts twice."""
        return math.hypot(2.0 * self.voltage_standard_uncertainty, self.resistance_standard_uncertainty)


def find_correction(bare: Steady, loaded: Steady, load: KnownLoad, channel: Channel) -> Correction:
    """Gain and offset from a reading without any load and one with `load`.

    Raises `BenchError` where the readings cannot be those of that resistor.
    """
    drawn_w = loaded.power_w - bare.power_w
    if load.power_w < LEAST_LOAD_STEPS * channel.power_lsb_w:
        raise BenchError(
            f"{load.resistance_ohm:g} Ohm at {load.voltage_v:.3g} V draws {load.power_w:.3g} W, hardly more than the "
            f"meter's step of {channel.power_lsb_w:.2g} W: take a smaller resistance"
        )
    ratio = drawn_w / load.power_w
    if abs(ratio - 1.0) > FARTHEST:
        raise BenchError(
            f"the meter reads {drawn_w:.3g} W where {load.resistance_ohm:g} Ohm at {load.voltage_v:.3g} V draw "
            f"{load.power_w:.3g} W: is this the resistor, the voltage and (for a shunt) the shunt that was stated, "
            "and was it disconnected and connected when asked?"
        )
    read_u = math.hypot(bare.standard_uncertainty_w, loaded.standard_uncertainty_w) / load.power_w
    return Correction(
        gain=ratio - 1.0,
        gain_standard_uncertainty=math.hypot(ratio * load.standard_uncertainty, read_u),
        offset_w=bare.power_w,
        offset_standard_uncertainty_w=bare.standard_uncertainty_w,
    )


def within_limit(value: float, standard_uncertainty: float, limit: float) -> bool | None:
    """Whether an error keeps its limit (rectangular, symmetrical); None when two uncertainties reach across it."""
    reach = 2.0 * standard_uncertainty
    if abs(value) + reach <= limit:
        return True
    return False if abs(value) - reach > limit else None
