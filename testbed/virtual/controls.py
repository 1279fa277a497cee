"""How a virtual board is set and read: through its tree of files, by the very code that sets real boards.

Where this host can show no tree it is set directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from testbed.agent.boards import jetson, raspberry_pi
from testbed.agent.boards.desk import Desk, Parts
from testbed.agent.contract import Observed, Setting, Standing
from testbed.agent.control.controls import Wishes
from testbed.agent.control.files import ControlRefused
from testbed.agent.control.ledger import Ledger, board_of
from testbed.agent.guard.guard import Guard
from testbed.virtual.config import Config
from testbed.virtual.profile import Profile
from testbed.virtual.tree.boards import EMC_HZ, hardware_of
from testbed.virtual.tree.mount import MountedTree, NoTree
from testbed.virtual.tuning import AS_BUILT, Tuning

STEP_TOLERANCE_HZ = 1e3
"""how far a frequency asked for may lie from a step: cpufreq counts in kHz"""
_PARTS: Mapping[str, Callable[[Path], Parts]] = {
    "jetson-agx-orin": jetson.parts,
    "raspberry-pi-5": raspberry_pi.parts,
}


class BoardControls(Protocol):
    """What the board asks of either."""

    labels: tuple[str, ...]
    """what a reader of results must know of it"""

    @property
    def tuning(self) -> Tuning: ...

    def clock_hz(self, processor: str) -> float | None:
        """What an inference there runs at while nothing throttles; None: the highest."""

    def feel(self, temperature_c: float, *, throttled: bool) -> None:
        """How the board stands now."""

    def busy(self, processor: str, until_s: float) -> None:
        """A processor works until then, on the host's CLOCK_MONOTONIC."""

    def steps_hz(self) -> Mapping[str, Sequence[float]]: ...

    def set(self, setting: Setting) -> Observed: ...

    def tune(self, knob: str, value: str) -> None: ...

    def offered(self) -> Mapping[str, Any]: ...

    def locked(self) -> Sequence[str]: ...

    def readings(self) -> Mapping[str, float]: ...

    def standing(self) -> Standing: ...

    def give_back(self) -> None: ...


def open_controls(config: Config, profile: Profile, serial: str, guard: Guard, stack: ExitStack) -> BoardControls:
    """Those of a board, set as its bench wishes; `stack` closes them. What is on disk lies beside the supply file.

    Raises ControlRefused for what it cannot be set to.
    """
    wishes = Wishes(config.power_mode, config.cores_on, config.governor)
    try:
        if config.profile is None:
            raise NoTree("a board built after a power model has none")
        tree = stack.enter_context(MountedTree(hardware_of(config.profile, profile, serial), config.supply))
    except NoTree as reason:
        if wishes != Wishes():
            raise ControlRefused(f"power mode, cores and governor need the board's files: {reason}") from None
        return SetDirectly(profile, str(reason))
    ledger = Ledger(board_of(tree.root), "a virtual board's agent", guard, tree.folder)
    desk = Desk(tree.root, _PARTS[config.profile](tree.root), ledger)
    stack.callback(desk.close)
    stack.callback(desk.give_back)
    desk.fulfil(wishes)
    return ThroughFiles(tree, desk)


class ThroughFiles:
    """Implements `BoardControls` on a mounted tree."""

    labels: tuple[str, ...] = ()

    def __init__(self, tree: MountedTree, desk: Desk) -> None:
        self._wires = tree.wires
        self.steps_hz, self.set, self.tune, self.offered = desk.steps_hz, desk.set, desk.tune, desk.offered
        self.locked, self.readings, self.standing = desk.locked, desk.readings, desk.standing
        self.give_back = desk.give_back

    @property
    def tuning(self) -> Tuning:
        """As the last write has it."""
        memory_hz = self._wires["emc_hz"]
        return Tuning(round(self._wires["cores_on"]), memory_hz / EMC_HZ if memory_hz else 1.0)

    def clock_hz(self, processor: str) -> float | None:
        """As the last write has it."""
        return self._wires[f"{processor}_hz"]

    def feel(self, temperature_c: float, *, throttled: bool) -> None:
        """For who reads the files."""
        self._wires["temperature_c"], self._wires["throttled"] = temperature_c, throttled

    def busy(self, processor: str, until_s: float) -> None:
        """For who reads the files; an accelerator without a governor has no other clock when it idles."""
        if processor in ("cpu", "gpu"):
            self._wires[f"{processor}_busy_until_s"] = until_s


class SetDirectly:
    """Implements `BoardControls` without any file: clocks of processors, and nothing else."""

    tuning = AS_BUILT

    def __init__(self, profile: Profile, reason: str) -> None:
        self.labels: tuple[str, ...] = (f"clocks set without files: {reason}",)
        self._profile = profile
        self._asked_hz: dict[str, float] = {}
        self._temperature_c, self._throttled = 0.0, False
        self._throttled_before = False

    def clock_hz(self, processor: str) -> float | None:
        """What it was set to."""
        return self._asked_hz.get(processor)

    def feel(self, temperature_c: float, *, throttled: bool) -> None:
        """For who asks."""
        self._temperature_c, self._throttled = temperature_c, throttled

    def busy(self, processor: str, until_s: float) -> None:
        """Shows nowhere."""

    def steps_hz(self) -> Mapping[str, Sequence[float]]:
        """Of those whose clock can be set."""
        steps = {name: processor.circuit.frequencies_hz for name, processor in self._profile.processors.items()}
        return {name: each for name, each in steps.items() if len(each) > 1}

    def set(self, setting: Setting) -> Observed:
        """A throttling board reads back less. Raises ControlRefused."""
        name, wanted_hz = setting.processor, setting.frequency_hz
        if name not in self._profile.processors:
            raise ControlRefused(f"the frequency of '{name}' cannot be set on this board")
        steps = self._profile.processor(name).circuit.frequencies_hz
        if wanted_hz is None:
            self._asked_hz.pop(name, None)
            return Observed(name, None)
        nearest_hz = min(steps, key=lambda step: abs(step - wanted_hz))
        if len(steps) == 1:
            raise ControlRefused(f"the clock of {name} cannot be set: it runs at {nearest_hz / 1e6:g} MHz")
        if abs(nearest_hz - wanted_hz) > STEP_TOLERANCE_HZ:
            raise ControlRefused(
                f"{name} has no step at {wanted_hz / 1e6:g} MHz: the nearest is {nearest_hz / 1e6:g} MHz"
            )
        self._asked_hz[name] = nearest_hz
        return Observed(name, self._runs_at_hz(name))

    def tune(self, knob: str, value: str) -> None:
        """Raises ControlRefused for what is no clock."""
        if knob not in self.steps_hz():
            raise ControlRefused(f"this board has no knob '{knob}' without files; it has: {', '.join(self.steps_hz())}")
        try:
            self.set(Setting(knob, float(value)))
        except ValueError:
            raise ControlRefused(f"{knob}: '{value}' is no number") from None

    def offered(self) -> Mapping[str, Any]:
        """Clocks alone."""
        clocks_hz = {name: list(steps) for name, steps in self.steps_hz().items()}
        cores = self._profile.cores
        return {"power_mode": [], "cores_on": cores, "governor": [], "clocks_hz": clocks_hz, "caps_hz": {}}

    def locked(self) -> Sequence[str]:
        """Nothing is."""
        return []

    def readings(self) -> Mapping[str, float]:
        """What runs at a clock that was set, and how warm the board is."""
        return {f"{name}_hz": self._runs_at_hz(name) for name in self._asked_hz} | {"board_c": self._temperature_c}

    def standing(self) -> Standing:
        """As real boards tell it."""
        slow = {name: hz for name, hz in self._asked_hz.items() if self._runs_at_hz(name) < hz}
        throttled, self._throttled_before = self._throttled or self._throttled_before, self._throttled
        return Standing(
            asked=dict(self._asked_hz),
            held={"clocks_hz": {name: self._runs_at_hz(name) for name in self._asked_hz}},
            readings=self.readings(),
            throttling=("heat",) if throttled else (),
            strayed=tuple(
                f"{name}: runs at {self._runs_at_hz(name) / 1e6:g} MHz, {hz / 1e6:g} MHz asked"
                for name, hz in slow.items()
            ),
            tells_throttling=True,
        )

    def give_back(self) -> None:
        """Every clock."""
        self._asked_hz.clear()

    def _runs_at_hz(self, name: str) -> float:
        circuit = self._profile.processor(name).circuit
        return min(self._asked_hz[name], circuit.throttled_hz) if self._throttled else self._asked_hz[name]
