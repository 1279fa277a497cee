"""One measurement of one condition, as it lies on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from testbed.calibrate.design import Condition


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured. Powers are the whole board's; standard uncertainties leave out the meter's gain and offset."""

    condition: Condition
    sentinel: bool
    at: str
    """date and time"""
    elapsed_s: float
    """since the calibration began; what it stood still between two starts is not in it"""
    lasted_s: float
    """the whole of it, preparations included"""
    idle_w: float
    """mean of the board idle just before and just after"""
    power_w: float
    """mean under the load"""
    excess_w: float
    """above idle"""
    standard_uncertainty_w: float
    """of the excess"""
    busy_s: float
    """of the load, or of one inference"""
    temperature_c: float | None
    throttled: bool | None
    strayed: tuple[str, ...] = ()
    """in which ways the board was not as asked"""
    utilisation: float = 0.0
    """as the cores really were"""
    memory: float = 0.0
    """as confirmed"""
    rssi_dbm: float | None = None
    """as the board's radio saw it"""
    course_c: tuple[tuple[float, float], ...] = ()
    """seconds of load -> temperature, of a thermal steady state"""
    course_share: float = 1.0
    """of these seconds in which the load ran; the others went by between one request to the board and the next"""
    inferences: int = 0
    energy_j: float | None = None
    """of one inference"""
    excess_j: float | None = None
    """of one inference, above idle"""
    transmit_s: float = 0.0
    """of one inference"""
    receive_s: float = 0.0
    macs: int = 0
    bytes_moved: int = 0
    truth_idle_w: float | None = None
    """of a virtual board"""
    truth_power_w: float | None = None
    truth_energy_j: float | None = None
    """of one inference"""

    @staticmethod
    def from_dict(entry: Mapping[str, Any]) -> Measurement:
        """Raises pydantic's ValidationError for what is no measurement."""
        return TypeAdapter(Measurement).validate_python(entry)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


# Two-sided 95 % of Student's t, by degrees of freedom (standard tables); beyond, the normal distribution's.
_T95 = (math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def half_width_w(excesses_w: list[float]) -> float:
    """Of the 95 % confidence interval of their mean; infinite for fewer than two."""
    n = len(excesses_w)
    if n < 2:
        return math.inf
    mean = sum(excesses_w) / n
    deviation = math.sqrt(sum((value - mean) ** 2 for value in excesses_w) / (n - 1))
    return (_T95[n - 1] if n <= len(_T95) else 1.96) * deviation / math.sqrt(n)
