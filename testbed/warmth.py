"""Thermal discipline: a trial starts within a band of temperatures, and blocks have time to cool down between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from testbed.config import Suite, ThermalBand
from testbed.errors import BenchError
from testbed.remote import RemoteAgent

_LOOK_S = 0.25
"""between two looks at the temperature, and as long is a cold board loaded between them"""


@dataclass(slots=True)
class Wait:
    """What went by before a trial. Times are of the controller's clock, as those of the meter's samples meanwhile."""

    cooled_s: float = 0.0
    """idle, before the block"""
    waited_s: float = 0.0
    """for the band"""
    readings: list[tuple[int, float | None]] = field(default_factory=list)
    """(time in ns, temperature in C)"""
    strayed: tuple[str, ...] = ()

    def as_facts(self) -> dict[str, Any]:
        """For the trial's record."""
        times_ns = [time_ns for time_ns, _ in self.readings]
        temperatures_c = [temperature_c for _, temperature_c in self.readings]
        return {
            "cooled_s": self.cooled_s,
            "waited_s": self.waited_s,
            "time_ns": times_ns,
            "temperature_c": temperatures_c,
        }


class Discipline:
    """Of one run."""

    def __init__(
        self, agent: RemoteAgent, suite: Suite, now_ns: Callable[[], int], tell: Callable[[str], None]
    ) -> None:
        """`tell` is told how a wait goes, and with an empty text that it is over."""
        self._agent = agent
        self._band = suite.thermal
        self._cool_down_s = suite.cool_down_s
        self._now_ns = now_ns
        self._tell = tell

    @property
    def cools(self) -> bool:
        """Whether there is idle time between two blocks."""
        return self._cool_down_s > 0.0

    def cool_down(self) -> Wait:
        """Let the idle board be for the time that the suite gives it between two blocks."""
        wait = Wait()
        begun_s = time.monotonic()
        while (left_s := self._cool_down_s - (time.monotonic() - begun_s)) > 0.0:
            self._look(wait)
            self._tell(f"cooling down: {_degrees(wait)}, {left_s:.0f} s left")
            time.sleep(min(left_s, _LOOK_S))
        self._look(wait)
        self._tell("")
        wait.cooled_s = time.monotonic() - begun_s
        return wait

    def await_band(self, wait: Wait) -> None:
        """Have the board within the band, which goes on the record of `wait`; what was in vain is a stray of it.

        Raises BenchError where the suite would rather stop.
        """
        if self._band is None:
            return
        temperature_c = self._look(wait)
        if self._within(temperature_c):
            return
        begun_s = time.monotonic()
        while not self._within(temperature_c) and (passed_s := time.monotonic() - begun_s) < self._band.wait_s:
            self._tell(f"{_degrees(wait)}, waiting for {_said(self._band)}: {passed_s:.0f} of {self._band.wait_s:g} s")
            if temperature_c is not None and temperature_c < self._band.band_c[0]:
                self._agent.ask("pulse", code=[1], chip_s=_LOOK_S)
            else:
                time.sleep(_LOOK_S)
            temperature_c = self._look(wait)
        self._tell("")
        wait.waited_s = time.monotonic() - begun_s
        if self._within(temperature_c):
            return
        found = f"started at {_degrees(wait)}, outside {_said(self._band)}, after {wait.waited_s:.0f} s of waiting"
        if self._band.otherwise == "stop":
            raise BenchError(
                f"thermal: a trial would have {found}: cool the board, or widen thermal.band_c, then resume the run"
            )
        wait.strayed = (found,)

    def _within(self, temperature_c: float | None) -> bool:
        return self._band is not None and temperature_c is not None and _lies_in(self._band, temperature_c)

    def _look(self, wait: Wait) -> float | None:
        temperature_c: float | None = self._agent.ask("warmth")["temperature_c"]
        wait.readings.append((self._now_ns(), temperature_c))
        return temperature_c


def require_temperature(agent: RemoteAgent, suite: Suite) -> None:
    """Raises BenchError where a band is asked of a board that does not tell how warm it is."""
    if suite.thermal is not None and agent.ask("warmth")["temperature_c"] is None:
        raise BenchError("suite: thermal: this board has no temperature sensor; leave 'thermal' out")


def _lies_in(band: ThermalBand, temperature_c: float) -> bool:
    lowest_c, highest_c = band.band_c
    return lowest_c <= temperature_c <= highest_c


def _said(band: ThermalBand) -> str:
    return f"{band.band_c[0]:g} to {band.band_c[1]:g} °C"


def _degrees(wait: Wait) -> str:
    temperature_c = wait.readings[-1][1]
    return "no temperature" if temperature_c is None else f"{temperature_c:.1f} °C"
