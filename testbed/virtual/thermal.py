"""The heat of a board: one thermal mass, one path to the ambient air, and throttling with hysteresis."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cooling:
    """How a board sheds heat, and when it protects itself."""

    resistance_k_per_w: float
    time_constant_s: float
    throttle_at_c: float
    release_at_c: float
    """below this the clocks come back; lower than `throttle_at_c`"""


class Thermal:
    """The temperature of one board, in thermal equilibrium with `power_w` when it starts."""

    def __init__(self, cooling: Cooling, ambient_c: float, power_w: float) -> None:
        self._cooling = cooling
        self._ambient_c = ambient_c
        self.temperature_c = self.settled_c(power_w)
        self.throttled = self.temperature_c >= cooling.throttle_at_c

    def settled_c(self, power_w: float) -> float:
        """Temperature the board tends to under a steady power."""
        return self._ambient_c + self._cooling.resistance_k_per_w * power_w

    def advance(self, duration_s: float, power_w: float) -> None:
        """Live through `duration_s` at a mean power: the exact solution of the first-order equation."""
        target_c = self.settled_c(power_w)
        self.temperature_c = target_c + (self.temperature_c - target_c) * math.exp(
            -duration_s / self._cooling.time_constant_s
        )
        limit_c = self._cooling.release_at_c if self.throttled else self._cooling.throttle_at_c
        self.throttled = self.temperature_c >= limit_c
