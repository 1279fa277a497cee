"""What every power monitor is: a source of samples that says how good they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from power.clock import ClockFit
from power.samples import Samples

SHORTEST_WINDOW_SAMPLES = 25
"""two load edges, each anywhere in a sample period, then make a standard uncertainty of 1.6 % of the step"""


class Kind(str, Enum):
    """How a sample comes about."""

    INSTANTANEOUS = "instantaneous"
    """the power at one moment"""
    AVERAGING = "averaging"
    """the mean over the sample's aperture"""
    COUNTING = "counting"
    """the difference of an energy counter since the sample before, divided by the time since then"""


@dataclass(frozen=True, slots=True)
class Channel:
    """One input of a monitor, such as a rail. Standard uncertainties are one standard deviation (k = 1)."""

    name: str
    power_lsb_w: float
    """step of the power readings"""
    gain_standard_uncertainty: float
    """of the reading, relative"""
    offset_standard_uncertainty_w: float
    voltage_standard_uncertainty: float | None = None
    """of the voltage readings, relative; None where there are none, or none of known quality"""


@dataclass(frozen=True, slots=True)
class Specimen:
    """Which one of its kind a meter is, as it says itself."""

    serial: str
    firmware: str


@dataclass(frozen=True, slots=True)
class MonitorSpec:
    """How a monitor measures."""

    name: str
    """as it stands in messages: kind and port"""
    rate_hz: float
    """samples per second"""
    channels: tuple[Channel, ...]
    """inputs, numbered as in `Samples.channel`"""
    kind: Kind
    aperture_s: float
    """the time one sample averages over, which ends at its `time_ns`; 0 for an instantaneous one"""
    shortest_window_s: float
    """the shortest window whose energy it can tell"""
    mark_lines: int = 0
    """input lines whose level comes with every sample"""
    total: tuple[int, ...] = (0,)
    """the channels whose powers add up to what the board draws"""

    @property
    def period_s(self) -> float:
        return 1.0 / self.rate_hz

    @property
    def whole(self) -> Channel:
        """The sum of the channels in `total`.

        Their gains may all be off the same way (one design, one temperature), so the worst of them counts for the sum;
        steps and offsets are independent.
        """
        summed = [self.channels[i] for i in self.total]
        return Channel(
            name="+".join(channel.name for channel in summed),
            power_lsb_w=math.hypot(*(channel.power_lsb_w for channel in summed)),
            gain_standard_uncertainty=max(channel.gain_standard_uncertainty for channel in summed),
            offset_standard_uncertainty_w=math.hypot(*(channel.offset_standard_uncertainty_w for channel in summed)),
        )


class PowerMonitor(Protocol):
    """One meter. `open`, `start`, `read` again and again, `stop`, `close`, all from one thread at a time.

    Every method may raise `power.errors.PowerError`; after a `TransientError`, close and begin again.
    """

    @property
    def spec(self) -> MonitorSpec:
        """Known before `open`; a meter on the board learns its channels by opening, and the rate may be refined once
        samples come."""

    @property
    def clock(self) -> ClockFit:
        """How the meter's time is mapped to the controller's, as known now; meaningful once samples come."""

    @property
    def specimen(self) -> Specimen | None:
        """Which one it is; None before `open`, and where the meter cannot tell."""

    def open(self) -> None:
        """Take the port, find the right device there, bring it to a known state."""

    def start(self) -> None:
        """Begin sampling."""

    def read(self) -> Samples:
        """What has come since the last call, after a short bounded wait; may be empty. Only valid samples."""

    def stop(self) -> None:
        """End sampling and drain the wire."""

    def close(self) -> None:
        """Give the port back. Always safe, twice too."""
