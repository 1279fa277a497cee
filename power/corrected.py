"""A monitor whose readings are corrected by a calibration of that very specimen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from power.clock import ClockFit
from power.monitor import MonitorSpec, PowerMonitor, Specimen
from power.samples import Samples


@dataclass(frozen=True, slots=True)
class Correction:
    """How far one channel reads wrong: it shows (1 + gain) P + offset_w. Standard uncertainties, k = 1."""

    gain: float
    gain_standard_uncertainty: float
    offset_w: float
    offset_standard_uncertainty_w: float
    delay_s: float = 0.0
    """by which its readings are late"""

    def spec_of(self, spec: MonitorSpec, channel: int) -> MonitorSpec:
        """`spec` with what is now known of the channel."""
        channels = list(spec.channels)
        channels[channel] = replace(
            channels[channel],
            gain_standard_uncertainty=self.gain_standard_uncertainty,
            offset_standard_uncertainty_w=self.offset_standard_uncertainty_w,
        )
        return replace(spec, channels=tuple(channels))


class Corrected:
    """A `PowerMonitor` around another. `find` is given that one once it is open, and names channels to correct."""

    def __init__(self, monitor: PowerMonitor, find: Callable[[PowerMonitor], Mapping[int, Correction]]) -> None:
        self._monitor = monitor
        self._find = find
        self._corrections: Mapping[int, Correction] = {}

    @property
    def spec(self) -> MonitorSpec:
        """The monitor's own, with the calibration's uncertainties from `open` on."""
        spec = self._monitor.spec
        for channel, correction in self._corrections.items():
            spec = correction.spec_of(spec, channel)
        return spec

    @property
    def clock(self) -> ClockFit:
        """The monitor's."""
        return self._monitor.clock

    @property
    def specimen(self) -> Specimen | None:
        """The monitor's."""
        return self._monitor.specimen

    def open(self) -> None:
        """Open the monitor, and find what is known of it."""
        self._monitor.open()
        self._corrections = self._find(self._monitor)

    def start(self) -> None:
        """Begin sampling."""
        self._monitor.start()

    def read(self) -> Samples:
        """Power, and current where there is one, as they truly are; voltages are left as they are read."""
        samples = self._monitor.read()
        for channel, correction in self._corrections.items():
            samples = _corrected(samples, channel, correction)
        return samples

    def stop(self) -> None:
        """End sampling."""
        self._monitor.stop()

    def close(self) -> None:
        """Give the port back."""
        self._monitor.close()


def _corrected(samples: Samples, channel: int, correction: Correction) -> Samples:
    its = samples.channel == channel
    power_w = np.where(its, (samples.power_w - correction.offset_w) / (1.0 + correction.gain), samples.power_w)
    current_a = samples.current_a
    if current_a is not None and samples.voltage_v is not None:
        known = its & (samples.voltage_v > 0)
        current_a = np.where(known, power_w / np.where(known, samples.voltage_v, 1.0), current_a)
    time_ns = samples.time_ns
    if correction.delay_s:
        time_ns = np.where(its, time_ns - round(correction.delay_s * 1e9), time_ns)
    return replace(samples, time_ns=time_ns, power_w=power_w, current_a=current_a)
