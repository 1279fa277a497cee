"""Clocks between two limits, as cpufreq and devfreq keep them since Linux 5.5: a limit written is a request (PM QoS).

No request is refused for its size: what they come to is brought into the range of the hardware, the lower limit never
above the upper one, and a request outlives the other that overruled it. Before 5.3 a lower limit above the upper one
was EINVAL. (Linux 5.15, the kernel of JetPack 6: `cpufreq_set_policy`, `cpufreq_frequency_table_verify`;
`get_freq_range`, `devfreq_recommended_opp`.)
"""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence

from testbed.virtual.tree.hardware import Clock

PERFORMANCE, POWERSAVE = "performance", "powersave"


class Limited:
    """One such clock, with its governor."""

    def __init__(self, clock: Clock, governors: Sequence[str], *, on_steps: bool) -> None:
        """The first governor is in force. `on_steps`: whether limits are moved to steps, as cpufreq does."""
        self.clock = clock
        self.governors = tuple(governors)
        self.governor = self.governors[0]
        self._on_steps = on_steps
        self._low_hz, self._high_hz = 0.0, math.inf

    def ask(self, *, low_hz: float | None = None, high_hz: float | None = None) -> None:
        """Request one of the limits, or both."""
        self._low_hz = self._low_hz if low_hz is None else low_hz
        self._high_hz = self._high_hz if high_hz is None else high_hz

    def limits_hz(self) -> tuple[float, float]:
        """What the requests come to."""
        steps = self.clock.steps_hz
        low_hz, high_hz = (min(max(hz, steps[0]), steps[-1]) for hz in (self._low_hz, self._high_hz))
        low_hz = min(low_hz, high_hz)
        if not self._on_steps:
            return low_hz, high_hz
        between = self._between(low_hz, high_hz)
        # Where no step lies between them, the next one above them becomes both.
        return (between[0], between[-1]) if between else (self._above(high_hz),) * 2

    def govern(self, governor: str) -> None:
        """Raises OSError, as the kernel does, for a governor there is not."""
        if governor not in self.governors:
            raise OSError(errno.EINVAL, "no such governor")
        self.governor = governor

    def working_hz(self) -> float:
        """Under load."""
        low_hz, high_hz = self.limits_hz()
        between = self._between(low_hz, high_hz) or [self._above(high_hz)]
        return between[0] if self.governor == POWERSAVE else between[-1]

    def idle_hz(self) -> float:
        """With nothing to do."""
        if self.governor == PERFORMANCE:
            return self.working_hz()
        low_hz, high_hz = self.limits_hz()
        return (self._between(low_hz, high_hz) or [self._above(high_hz)])[0]

    def _between(self, low_hz: float, high_hz: float) -> list[float]:
        return [float(step) for step in self.clock.steps_hz if low_hz <= step <= high_hz]

    def _above(self, limit_hz: float) -> float:
        return float(next(step for step in self.clock.steps_hz if step > limit_hz))
