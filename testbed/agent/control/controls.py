"""All of a board's knobs: set, read back, and given back; a guard gives them back where this process cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testbed.agent.control.cap import Cap
from testbed.agent.control.cores import Cores
from testbed.agent.control.domain import Domain
from testbed.agent.control.files import ControlRefused
from testbed.agent.control.ledger import Ledger
from testbed.agent.control.power_modes import NeedsBoot, PowerModes

_MODE, _CORES, _GOVERNOR, _LIMITS, _CAP = range(5)
"""what is put back first: a power mode sets all that follows, and a core that is off has no clock"""
TOLERANCE = 0.005
"""how far a clock read back may lie from what was asked: drivers round to what their dividers can make"""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a board has."""

    clocks: Mapping[str, Sequence[Domain]]
    """processor -> its clocks, which are held together"""
    caps: Mapping[str, Cap]
    """by name: "emc", or a processor that can only be capped"""
    cores: Cores
    modes: PowerModes


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a bench asks of a board for as long as it is open."""

    power_mode: str | None = None
    cores_on: int | None = None
    governor: str | None = None
    caps_hz: Mapping[str, float] = field(default_factory=dict)
    """by kind of clock: "emc", "dla" for every DLA"""
    allow_reboot: bool = False


class Controls:
    """Of one board; the ledger is lent to it."""

    def __init__(self, find: Callable[[], Knobs], ledger: Ledger) -> None:
        """`find` looks for what the board has: cores that go off or on take their clocks along."""
        self._find = find
        self._knobs = find()
        self._ledger = ledger
        self._asked: dict[str, Any] = {}
        self._ceilings_hz = self._ceilings()
        self._tables: dict[str, tuple[float, ...]] = {}

    @property
    def asked(self) -> Mapping[str, Any]:
        """Knob -> what it was set to last, and not given back."""
        return self._asked

    def fulfil(self, wishes: Wishes) -> None:
        """In the order in which one does not undo another. Raises ControlRefused."""
        if wishes.power_mode is not None:
            self.enter(wishes.power_mode, allow_reboot=wishes.allow_reboot)
        if wishes.cores_on is not None:
            self.switch(wishes.cores_on)
        if wishes.governor is not None:
            self.govern(wishes.governor)
        for name, cap_hz in wishes.caps_hz.items():
            for one in [cap for cap in self._knobs.caps if cap.rstrip("01") == name] or [name]:
                self.cap(one, cap_hz)

    def steps_hz(self) -> dict[str, tuple[float, ...]]:
        """Processor -> what all of its clocks can be held at under the power mode, ascending; as this user may."""
        may = {name: all(domain.writable for domain in domains) for name, domains in self._knobs.clocks.items()}
        may |= {name: cap.writable and name != "emc" for name, cap in self._knobs.caps.items()}
        return {name: steps for name in may if may[name] and (steps := self._table(name))}

    def offered(self) -> dict[str, Any]:
        """What each knob can be set to, whoever may."""
        domains = self._knobs.clocks.get("cpu", ())
        return {
            "power_mode": [mode.name for mode in self._knobs.modes.modes] if self._knobs.modes.there else [],
            "cores_on": len(self._knobs.cores.there()),
            "governor": sorted({name for domain in domains for name in domain.governors()}),
            "clocks_hz": {name: list(self._table(name)) for name in self._knobs.clocks},
            "caps_hz": {name: list(self._table(name)) for name in self._knobs.caps},
        }

    def locked(self) -> list[str]:
        """What this user may not set: the files, and "power mode"."""
        domains = [domain for domains in self._knobs.clocks.values() for domain in domains]
        files = [path for domain in domains for path in domain.switches]
        files += [path for domain in self._knobs.clocks.get("cpu", ()) if (path := domain.governed_by).exists()]
        files += [cap.path for cap in self._knobs.caps.values()] + list(self._knobs.cores.switches)
        shut = [str(path) for path in files if not os.access(path, os.W_OK)]
        return shut if self._knobs.modes.may_enter else ["power mode", *shut]

    def hold(self, processor: str, frequency_hz: float) -> float | None:
        """Hold a processor's clocks at a step; returns what they are read back at. Raises ControlRefused."""
        self._ledger.require()
        # First, for it tells whether somebody else holds the board, whose limits are not this one's.
        for domain in self._knobs.clocks.get(processor, ()):
            self._note(domain)
        step_hz = self._nearest(processor, frequency_hz)
        if processor in self._knobs.caps:
            return self.cap(processor, step_hz)
        for domain in self._knobs.clocks[processor]:
            domain.hold(step_hz, step_hz)
        self._asked[processor] = step_hz
        return self.clock_hz(processor)

    def release(self, processor: str) -> None:
        """Give a processor back to its governor and its limits. Raises ControlRefused."""
        self._ledger.require()
        for domain in self._knobs.clocks.get(processor, ()):
            self._ledger.put_back(f"{domain.name} limits")
        if processor in self._knobs.caps:
            self._ledger.put_back(f"{processor} cap")
        self._asked.pop(processor, None)

    def clock_hz(self, processor: str) -> float | None:
        """What a processor runs at, or is capped at; the fastest of its clocks. None where nothing tells."""
        if processor in self._knobs.caps:
            return self._knobs.caps[processor].cap_hz()
        told = [domain.current_hz() for domain in self._knobs.clocks.get(processor, ())]
        return max((hz for hz in told if hz is not None), default=None)

    def cap(self, name: str, cap_hz: float) -> float | None:
        """Cap a clock; returns the cap read back. Raises ControlRefused."""
        if name not in self._knobs.caps:
            there = ", ".join(self._knobs.caps) or "none"
            raise ControlRefused(f"the clock of {name} cannot be capped on this board; those that can: {there}")
        cap = self._knobs.caps[name]
        self._ledger.note(f"{name} cap", _CAP, cap.as_found())
        cap.hold(cap_hz)
        self._asked[name] = float(cap_hz)
        return cap.cap_hz()

    def enter(self, name: str, *, allow_reboot: bool = False) -> None:
        """Have the board in a power mode. Raises ControlRefused."""
        modes = self._knobs.modes
        if not modes.there:
            raise ControlRefused(f"power mode '{name}' cannot be set: this board has no nvpmodel with modes")
        mode, now = modes.named(name), modes.current()
        if now is None or now.id != mode.id:
            if now is not None:
                self._ledger.note("power mode", _MODE, modes.back_to(now))
            # A mode sets everything else too, and its return would set that to the mode's, not to what was.
            self._note_all()
            try:
                modes.enter(mode)
            except NeedsBoot:
                if not allow_reboot:
                    raise
                self._ledger.give_back()
                modes.boot_into(mode)
        self._asked["power_mode"] = mode.name
        self._look_again()

    def switch(self, count: int) -> None:
        """Have that many cores on. Raises ControlRefused."""
        self._note_cores()
        # A core that goes takes its cluster's clock along, and brings it back as its driver likes.
        self._note_all()
        self._knobs.cores.switch(count)
        self._asked["cores_on"] = count
        self._look_again()

    def govern(self, governor: str) -> None:
        """Hand the CPU's clocks to a governor. Raises ControlRefused."""
        for domain in self._knobs.clocks.get("cpu", ()):
            self._note(domain)
            domain.govern(governor)
        self._asked["governor"] = governor

    def held(self) -> dict[str, Any]:
        """What the board is set to, as read back."""
        domains = [domain for domains in self._knobs.clocks.values() for domain in domains]
        mode = self._knobs.modes.current() if self._knobs.modes.there else None
        return {
            "power_mode": mode.name if mode else None,
            "cores_on": len(self._knobs.cores.on()),
            "limits_hz": {d.name: list(limits) for d in domains if (limits := d.limits_hz()) is not None},
            "governors": {d.name: governor for d in domains if (governor := d.governor())},
            "caps_hz": {name: cap.cap_hz() for name, cap in self._knobs.caps.items()},
        }

    def strays(self, held: Mapping[str, Any]) -> Iterator[str]:
        """In which ways what is `held` is not what was asked."""
        for name, asked in self._asked.items():
            if name in ("power_mode", "cores_on"):
                if held[name] != asked:
                    yield f"{name.replace('_', ' ')} is {held[name]}, {asked} asked"
            elif name == "governor":
                for domain in self._knobs.clocks.get("cpu", ()):
                    if (found := held["governors"].get(domain.name)) and found != asked:
                        yield f"{domain.name}: governor is '{found}', '{asked}' asked"
            elif name in self._knobs.caps:
                if not _near(held["caps_hz"][name], asked):
                    yield f"{name}: cap is {_mhz(held['caps_hz'][name])}, {_mhz(asked)} asked"
            else:
                for domain in self._knobs.clocks[name]:
                    yield from _clock_strays(domain, held["limits_hz"].get(domain.name), asked)

    def give_back(self) -> None:
        """Everything as it was found. Raises ControlRefused where something cannot be."""
        self._ledger.give_back()
        self._asked.clear()
        self._look_again()

    def _nearest(self, processor: str, frequency_hz: float) -> float:
        steps = self._table(processor)
        if not steps:
            raise ControlRefused(f"the frequency of '{processor}' cannot be set on this board")
        nearest = min(steps, key=lambda step: abs(step - frequency_hz))
        if not _near(nearest, frequency_hz):
            raise ControlRefused(f"{processor} has no step at {_mhz(frequency_hz)}: the nearest is {_mhz(nearest)}")
        return nearest

    def _table(self, processor: str) -> tuple[float, ...]:
        if processor not in self._tables:
            self._tables[processor] = self._read_table(processor)
        return self._tables[processor]

    def _read_table(self, processor: str) -> tuple[float, ...]:
        if processor in self._knobs.caps:
            ceiling_hz = self._ceilings_hz[processor]
            below = {step for step in self._knobs.caps[processor].steps_hz if step < ceiling_hz}
            return tuple(sorted(below | ({ceiling_hz} if ceiling_hz < float("inf") else set())))
        domains = self._knobs.clocks.get(processor, ())
        tables = [set(domain.steps_hz()) for domain in domains]
        common = set.intersection(*tables) if tables else set()
        ceiling_hz = min((self._ceilings_hz[domain.name] for domain in domains), default=0.0)
        return tuple(sorted(step for step in common if step <= ceiling_hz * (1 + TOLERANCE)))

    def _look_again(self) -> None:
        self._knobs = self._find()
        self._ceilings_hz = self._ceilings()
        self._tables.clear()

    def _ceilings(self) -> dict[str, float]:
        """Clock -> the upper limit that the board's power mode, or a person, has set; infinite where unknown."""
        domains = [domain for domains in self._knobs.clocks.values() for domain in domains]
        limits_hz = {d.name: limits[1] if (limits := d.limits_hz()) else float("inf") for d in domains}
        return limits_hz | {name: cap.cap_hz() or float("inf") for name, cap in self._knobs.caps.items()}

    def _note(self, domain: Domain) -> None:
        if self._ledger.knows(f"{domain.name} limits"):
            return  # noted with all else of this clock
        for what, step in domain.as_found().items():
            self._ledger.note(f"{domain.name} {what}", _GOVERNOR if what == "governor" else _LIMITS, step)

    def _note_all(self) -> None:
        self._note_cores()
        for domains in self._knobs.clocks.values():
            for domain in domains:
                self._note(domain)
        for name, cap in self._knobs.caps.items():
            self._ledger.note(f"{name} cap", _CAP, cap.as_found())

    def _note_cores(self) -> None:
        for step in self._knobs.cores.as_found():
            self._ledger.note(step["path"], _CORES, step)


def _clock_strays(domain: Domain, limits: Sequence[float] | None, asked_hz: float) -> Iterator[str]:
    if limits is None:
        yield f"{domain.name}: its limits cannot be read, {_mhz(asked_hz)} asked"
    elif not all(_near(limit_hz, asked_hz) for limit_hz in limits):
        yield f"{domain.name}: limits are {_mhz(limits[0])} to {_mhz(limits[1])}, {_mhz(asked_hz)} asked"
    elif domain.exact and (current_hz := domain.current_hz()) and not _near(current_hz, asked_hz):
        yield f"{domain.name}: runs at {_mhz(current_hz)}, {_mhz(asked_hz)} asked"


def _near(value_hz: float | None, asked_hz: float) -> bool:
    return value_hz is not None and abs(value_hz - asked_hz) <= TOLERANCE * asked_hz


def _mhz(value_hz: float | None) -> str:
    return "none" if value_hz is None else f"{value_hz / 1e6:g} MHz"
