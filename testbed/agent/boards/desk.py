"""A board's knobs and sensors behind the files of its kernel, whichever kernel serves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.agent.contract import Observed, Setting, Standing
from testbed.agent.control.controls import Controls, Knobs, Wishes
from testbed.agent.control.files import ControlRefused
from testbed.agent.control.ledger import Ledger
from testbed.agent.telemetry.daemons import clock_setters
from testbed.agent.telemetry.sensors import Sensors
from testbed.agent.telemetry.throttling import Look, Throttling

_SLOW = 0.95
"""a CPU that is measured below this share of the clock asked for is throttled, whoever says otherwise"""
_SETTABLE = ("cpu", "gpu")


@dataclass(frozen=True, slots=True)
class Parts:
    """What makes a kind of board."""

    find: Callable[[], Knobs]
    throttling: Throttling
    gpu_load: Path | None = None
    measured_cpu_hz: Callable[[], float | None] | None = None
    """the CPU's true clock, where the kernel tells only what was asked for"""


class Desk:
    """Of one board. The ledger is lent to it; it keeps files open until it is closed."""

    def __init__(self, root: Path, parts: Parts, ledger: Ledger) -> None:
        self._root, self._parts = root, parts
        self._look = Look()
        self._controls = Controls(parts.find, ledger)
        clocks = [domain for domains in parts.find().clocks.values() for domain in domains]
        self._sensors = Sensors(root, clocks, parts.gpu_load)
        self._open = ExitStack()
        for closing in (parts.throttling, self._sensors):
            self._open.callback(closing.close)

    def close(self) -> None:
        """Close its files; give back first."""
        self._open.close()

    def fulfil(self, wishes: Wishes) -> None:
        """Raises ControlRefused."""
        self._controls.fulfil(wishes)

    def steps_hz(self) -> dict[str, tuple[float, ...]]:
        """Processor -> what it can be held at by this user, ascending."""
        return self._controls.steps_hz()

    def offered(self) -> dict[str, Any]:
        """What each knob can be set to, whoever may."""
        return self._controls.offered()

    def locked(self) -> list[str]:
        """What this user may not set."""
        return self._controls.locked()

    def set(self, setting: Setting) -> Observed:
        """Raises ControlRefused."""
        if setting.frequency_hz is None:
            self._controls.release(setting.processor)
            return Observed(setting.processor, self._controls.clock_hz(setting.processor))
        return Observed(setting.processor, self._controls.hold(setting.processor, setting.frequency_hz))

    def tune(self, knob: str, value: str) -> None:
        """Raises ControlRefused."""
        if knob == "power_mode":
            self._controls.enter(value)
        elif knob == "governor":
            self._controls.govern(value)
        elif knob == "cores_on":
            self._controls.switch(_whole(knob, value))
        elif knob in self._controls.offered()["caps_hz"]:
            self._controls.cap(knob, _whole(knob, value))
        elif knob in _SETTABLE:
            self._controls.hold(knob, _whole(knob, value))
        else:
            known = ["power_mode", "governor", "cores_on", *_SETTABLE, *self._controls.offered()["caps_hz"]]
            raise ControlRefused(f"this board has no knob '{knob}'; it has: {', '.join(known)}")

    def readings(self) -> Mapping[str, float]:
        """Of the sensors."""
        return self._sensors.read()

    def hottest_c(self) -> float | None:
        """The highest temperature; None where no sensor tells one."""
        return max(self._sensors.temperatures_c().values(), default=None)

    @property
    def throttled(self) -> bool | None:
        """When it was looked at last; None where the board does not tell."""
        return bool(self._look.active) if self._parts.throttling.tells else None

    def standing(self) -> Standing:
        """Look at all of it."""
        before, self._look = self._look, self._parts.throttling.look()
        readings = dict(self._sensors.read())
        held = self._controls.held()
        strayed = list(self._controls.strays(held))
        if strayed and (setters := clock_setters(self._root / "proc")):
            strayed.append(f"running, and known to set clocks: {', '.join(setters)}")
        if self._parts.measured_cpu_hz is not None and (measured_hz := self._parts.measured_cpu_hz()) is not None:
            readings["cpu_measured_hz"] = measured_hz
            asked_hz = self._controls.asked.get("cpu")
            if asked_hz is not None and measured_hz < _SLOW * asked_hz:
                strayed.append(f"cpu: measured at {measured_hz / 1e6:.0f} MHz, {asked_hz / 1e6:.0f} MHz asked")
        return Standing(
            asked=dict(self._controls.asked),
            held=held,
            readings=readings,
            throttling=self._look.since(before),
            strayed=tuple(strayed),
            tells_throttling=self._parts.throttling.tells,
        )

    def give_back(self) -> None:
        """Everything as it was found. Raises ControlRefused where something cannot be."""
        self._controls.give_back()


def _whole(knob: str, value: str) -> int:
    try:
        return round(float(value))
    except ValueError:
        raise ControlRefused(f"{knob}: '{value}' is no number") from None
