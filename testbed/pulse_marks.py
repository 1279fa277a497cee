"""Marks by a sync pulse: a coded burst of the board's load at the start and the end of every block."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from power import ClockFit, MonitorSpec, Pulse, TransientError, find_pulse, maximal_code
from results.records import MarksMethod
from testbed.marks import Anchors, HostClocks, Marks, Trace

_log = logging.getLogger(__name__)

KEEP = 4
"""bursts the line goes through: those of two blocks"""
CODE = maximal_code()
CHIP_S, CHIP_PERIODS = 4e-3, 4
"""a chip lasts so long, and so many periods of the meter, at the least"""
ODD = (5**0.5 - 1) / 2
"""of a period, on top: the load's steps then fall anywhere in the meter's period, also into what it sees"""
LONGEST_S = 5.0
"""a burst that would last longer is not worth its time: the meter is too slow"""
REACH_S = 0.02
REACH_U = 4.0
"""a burst is looked for within so much and so many standard uncertainties of where the host's clocks have it"""


Load = Callable[[Sequence[int], float], int]
"""Has the board load itself by a code, so many seconds a chip; returns when that began, on the board's clock."""


def chip_for(spec: MonitorSpec) -> float:
    """How long a chip lasts for this meter, in s."""
    return (max(CHIP_PERIODS, math.ceil(CHIP_S / spec.period_s)) + ODD) * spec.period_s


def is_quick_enough(spec: MonitorSpec) -> bool:
    """Whether a burst for this meter stays short."""
    return len(CODE) * chip_for(spec) <= LONGEST_S


class SyncPulse:
    """Implements `Alignment`; before a burst was found the host's clocks stand in."""

    method: MarksMethod = "pulse"

    def __init__(
        self, host: HostClocks, meter: Trace, spec: MonitorSpec, load: Load, chip_s: float, bearable_s: float
    ) -> None:
        """`bearable_s` is how far off a mark may be without harm: more than that is said, and counts."""
        self._host = host
        self._meter = meter
        self._spec = spec
        self._load = load
        self._chip_s = chip_s
        self._bearable_s = bearable_s
        self._anchors = Anchors(KEEP)
        self._opened = 0
        self._off_s = 0.0
        """how far the last burst lay from where the ones before it had it"""
        self._lost = ""

    def begin(self) -> None:
        if self._meter.opened != self._opened:
            self._anchors.clear()
            self._opened = self._meter.opened
        self._play()

    def end(self) -> None:
        self._play()

    def forget(self) -> None:
        self._anchors.clear()

    @property
    def note(self) -> str:
        if self._lost:
            return self._lost
        if self._off_s > self._bearable_s:
            return f"the sync pulse lay {self._off_s * 1e3:.2g} ms from where it was expected"
        return ""

    def fit(self) -> ClockFit:
        return self._anchors.fit or self._host.fit()

    def place(self, trial: Mapping[str, Any]) -> Marks:
        if self._anchors.fit is None:
            return self._host.place(trial)
        further_s = self._off_s if self._off_s > self._bearable_s else 0.0
        return self._anchors.place(self._anchors.fit, trial, further_s)

    def _play(self) -> None:
        """Have the board play a burst, and find it. One that is lost leaves the marks as they were."""
        began_ns = self._load(CODE, self._chip_s)
        try:
            pulse = self._find(began_ns)
        except TransientError as trouble:
            self._lost = str(trouble)
            _log.warning("%s", trouble)
            return
        self._lost = ""
        self._off_s = abs(self._anchors.off_s(began_ns, pulse.start_ns))
        self._anchors.add(began_ns, pulse.start_ns, pulse.standard_uncertainty_s, self._host.fit())

    def _find(self, began_ns: int) -> Pulse:
        host = self._host.fit()
        near_ns = int(host.to_controller(began_ns))
        off_s = math.hypot(host.uncertainty_s(began_ns), self._meter.clock.uncertainty_at_s(near_ns))
        reach_s = REACH_S + REACH_U * off_s + 2.0 * self._spec.period_s
        reach_ns, length_ns = round(reach_s * 1e9), round(len(CODE) * self._chip_s * 1e9)
        samples = self._meter.trace(near_ns - reach_ns, near_ns + length_ns + reach_ns)
        return find_pulse(samples.sum_of(self._spec.total), self._spec, CODE, self._chip_s, near_ns, reach_s)
