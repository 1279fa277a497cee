"""What a trace has come to so far: energy, mean, peak and loss, of every channel and of the board as a whole."""

from __future__ import annotations

import math

import numpy as np

from power.monitor import Channel, Kind, MonitorSpec
from power.samples import Samples


class Sum:
    """Of one series of samples; lost ones are bridged by a straight line, where no counter tells what they were."""

    def __init__(self, channel: Channel, kind: Kind) -> None:
        self._kind = kind
        self.channel = channel
        self.energy_j = 0.0
        """from the first sample to the last"""
        self.duration_s = 0.0
        self.latest_w: float | None = None
        self.peak_w = -math.inf
        self.count = 0
        self.lost = 0
        self._bridged_j2 = 0.0
        self._last: tuple[int, int] | None = None

    @property
    def mean_w(self) -> float | None:
        """None before there are two samples."""
        return self.energy_j / self.duration_s if self.duration_s else None

    @property
    def standard_uncertainty_j(self) -> float:
        """Of the energy: gain, offset, and what the bridges over lost samples may hide. The rest averages out."""
        gain_j = self.channel.gain_standard_uncertainty * self.energy_j
        offset_j = self.channel.offset_standard_uncertainty_w * self.duration_s
        return math.hypot(gain_j, offset_j, math.sqrt(self._bridged_j2))

    def add(self, samples: Samples) -> None:
        """Samples of this series alone, after all that came before."""
        if not len(samples):
            return
        index, time_ns, power_w = samples.index, samples.time_ns, samples.power_w
        if self._last is not None and self.latest_w is not None:
            last_index, last_ns = self._last
            index = np.concatenate(([last_index], index))
            time_ns = np.concatenate(([last_ns], time_ns))
            power_w = np.concatenate(([self.latest_w], power_w))
        step, gap_s = np.diff(index), np.diff(time_ns) * 1e-9
        if self._kind is Kind.COUNTING:
            self.energy_j += float(np.sum(power_w[1:] * gap_s))
        else:
            self.energy_j += float(np.sum((power_w[1:] + power_w[:-1]) / 2 * gap_s))
            hidden_j = np.diff(power_w)[step > 1] / math.sqrt(12.0) * gap_s[step > 1]
            self._bridged_j2 += float(np.sum(hidden_j**2))
        self.duration_s += float(np.sum(gap_s))
        self.lost += int(np.sum(step - 1))
        self.count += len(samples)
        self.peak_w = max(self.peak_w, float(samples.power_w.max()))
        self.latest_w = float(samples.power_w[-1])
        self._last = int(samples.index[-1]), int(samples.time_ns[-1])


class Tally:
    """The sums of a trace that comes piece by piece."""

    def __init__(self, spec: MonitorSpec) -> None:
        self._spec = spec
        self.channels = [Sum(channel, spec.kind) for channel in spec.channels]
        self.total = Sum(spec.whole, spec.kind)
        """of the declared total: what the board draws"""
        self._waiting = Samples.empty()

    def add(self, samples: Samples) -> Samples:
        """Count the next samples in; returns the declared total's new ones.

        A row of a meter with several channels may arrive in two pieces: its total waits for the rest.
        """
        for channel, its in enumerate(self.channels):
            its.add(samples.of_channel(channel))
        held = Samples.concatenate([self._waiting, samples])
        newest = [held.of_channel(channel).index for channel in self._spec.total]
        if not all(len(index) for index in newest):
            self._waiting = held
            return Samples.empty()
        whole = held.index <= min(int(index[-1]) for index in newest)
        self._waiting = held.take(~whole)
        summed = held.take(whole).sum_of(self._spec.total)
        self.total.add(summed)
        return summed
