"""A real board that runs Linux, made of the parts that its kind has.

Nothing is read while a trial runs: a thread that samples would take a core's time and the interpreter's lock from what
is measured, and be in its joules. What happened meanwhile shows in counters and in what is read before and after.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed.agent.affinity import Cores
from testbed.agent.boards.engines import find_engines
from testbed.agent.boards.settings import Settings
from testbed.agent.burden import carry, cores
from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import (
    Burden,
    CoRun,
    CoRunning,
    Identity,
    Marker,
    Observed,
    Setting,
    Standing,
    Target,
    Telemetry,
    Warmth,
)
from testbed.agent.control.controls import Controls, Knobs
from testbed.agent.control.files import ControlRefused, text
from testbed.agent.control.ledger import Ledger, board_of
from testbed.agent.corunner import CoRunner
from testbed.agent.gpio import GpioMarker
from testbed.agent.guard.guard import Guard
from testbed.agent.guard.lease import sweep
from testbed.agent.guard.undo import end_group
from testbed.agent.pulse import burn
from testbed.agent.telemetry.daemons import clock_setters
from testbed.agent.telemetry.load import OthersCpu, OthersMemory
from testbed.agent.telemetry.sensors import Sensors
from testbed.agent.telemetry.throttling import Look, Throttling
from testbed.agent.wireless import open_generic_netlink, rssi_dbm

_log = logging.getLogger(__name__)

NO_RADIO_DBM = -30.0
"""reported by a board without Wi-Fi: a cable is as good as a signal gets"""
_SLOW = 0.95
"""a CPU that is measured below this share of the clock asked for is throttled, whoever says otherwise"""
_LOADS = "load-"
"""how the leases on co-runners are called, before their agent's process"""
_SETTABLE = ("cpu", "gpu")


@dataclass(frozen=True, slots=True)
class Parts:
    """What makes a kind of board."""

    find: Callable[[], Knobs]
    throttling: Throttling
    gpu_load: Path | None = None
    measured_cpu_hz: Callable[[], float | None] | None = None
    """the CPU's true clock, where the kernel tells only what was asked for"""


class RealBoard:
    """Implements `Board` and `Controlled`. Leaving it gives everything back."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        """Raises ControlRefused, with everything as it was, where the board cannot be set as the bench asks."""
        self.clock = MonotonicClock()
        root = self._root = settings.root
        self._wifi_interface = settings.wifi_interface
        self._parts = parts
        self._engines = find_engines(
            self.clock, settings.threads, Cores(settings.cores), cuda_graph=settings.cuda_graph
        )
        # The kernel that netlink reaches is this machine's, whatever tree its files are looked for in.
        self._open_netlink = open_generic_netlink if root == Path("/") else None
        self._look = Look()
        with ExitStack() as stack:
            self.guard = stack.enter_context(Guard())
            self._ledger = Ledger(board_of(root), settings.owner, self.guard, settings.leases)
            self._ledger.mend()
            for line in sweep(settings.leases, _LOADS):  # a co-runner would interfere with whoever comes next
                _log.info(line)
            self._loads = Ledger(f"{_LOADS}{os.getpid()}", settings.owner, self.guard, settings.leases)
            self._controls = Controls(parts.find, self._ledger)
            stack.callback(self._controls.give_back)
            self._co_runner = CoRunner(self._note_co_runner)
            stack.callback(self._end_co_runner)
            self._cpu = OthersCpu(root / "proc", lambda: self._co_runner.ended_s)
            self._memory = OthersMemory(root / "proc")
            clocks = [domain for domains in parts.find().clocks.values() for domain in domains]
            self._sensors = Sensors(root, clocks, parts.gpu_load)
            for closing in (parts.throttling, self._cpu, self._memory, self._sensors):
                stack.callback(closing.close)
            self.marker: Marker | None = None
            if settings.marker is not None:
                self.marker = stack.enter_context(GpioMarker(*settings.marker))
            self._controls.fulfil(settings.wishes)
            self._open = stack.pop_all()

    def __enter__(self) -> RealBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def identify(self) -> Identity:
        tree, steps = self._root / "proc/device-tree", self._controls.steps_hz()
        return Identity(
            model=text(tree / "model") or platform.machine(),
            serial=text(tree / "serial-number") or platform.node(),
            processors=self._engines.precisions,
            frequencies_hz={**steps, **({"cpu_ncnn": steps["cpu"]} if "cpu" in steps else {})},
            engines=self._engines.told,
            forms=self._engines.forms,
            absent=self._engines.absent,
            cores=len(cores()),
        )

    def target(self, name: str) -> Target:
        targets = self._engines.targets
        if name not in targets:
            raise ValueError(f"this board has no target '{name}'; it has: {', '.join(targets)}")
        return targets[name]

    def set(self, setting: Setting) -> Observed:
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

    def offered(self) -> Mapping[str, Any]:
        return self._controls.offered()

    def locked(self) -> list[str]:
        return self._controls.locked()

    def observe(self) -> Telemetry:
        warmth = self.warmth()
        return Telemetry(
            co_cpu=self._cpu.share(),
            co_memory=self._memory.share(),
            rssi_dbm=self._rssi_dbm(),
            peer_rssi_dbm=NO_RADIO_DBM,
            temperature_c=warmth.temperature_c,
            throttled=warmth.throttled,
        )

    def warmth(self) -> Warmth:
        """Throttled or not: as it was looked at last."""
        return Warmth(
            temperature_c=max(self._sensors.temperatures_c().values(), default=None),
            throttled=bool(self._look.active) if self._parts.throttling.tells else None,
        )

    def sweep(self) -> Mapping[str, float]:
        loads = {"others_cpu": self._cpu.share(), "others_memory": self._memory.share()}
        return {**self._sensors.read(), **loads, "rssi_dbm": self._rssi_dbm()}

    def standing(self) -> Standing:
        before, self._look = self._look, self._parts.throttling.look()
        readings = dict(self._sensors.read())
        strayed = list(self._controls.strays())
        if strayed and (setters := clock_setters(self._root / "proc")):
            strayed.append(f"running, and known to set clocks: {', '.join(setters)}")
        if self._parts.measured_cpu_hz is not None and (measured_hz := self._parts.measured_cpu_hz()) is not None:
            readings["cpu_measured_hz"] = measured_hz
            asked_hz = self._controls.asked.get("cpu")
            if asked_hz is not None and measured_hz < _SLOW * asked_hz:
                strayed.append(f"cpu: measured at {measured_hz / 1e6:.0f} MHz, {asked_hz / 1e6:.0f} MHz asked")
        if (co_runner := self._co_runner.share()) is not None:
            readings["co_runner_cpu"] = co_runner
        if ended := self._co_runner.ended():
            strayed.append(ended)
        return Standing(
            asked=dict(self._controls.asked),
            held=self._controls.held(),
            readings=readings,
            throttling=self._look.since(before),
            strayed=tuple(strayed),
            tells_throttling=self._parts.throttling.tells,
        )

    def co_run(self, load: CoRun | None) -> CoRunning:
        """Raises CoRunnerEnded where it does not stay, ControlRefused where no guard can be had for it."""
        if load is not None and self._co_runner.runs(load):
            return self._co_runner.look()
        self._end_co_runner()
        return CoRunning(0.0, 0.0) if load is None else self._co_runner.start(load)

    def cannot_co_run(self, load: CoRun) -> str:
        return self._co_runner.cannot(load)

    def carry(self, cores: int, utilisation: float, idle_s: float, duration_s: float) -> Burden:
        return carry(cores, utilisation, idle_s, duration_s)

    def pulse(self, code: Sequence[int], chip_s: float) -> int:
        return burn(self.clock, code, chip_s)

    def restore(self) -> None:
        self._end_co_runner()
        self._controls.give_back()

    def _note_co_runner(self, leader: int) -> None:
        self._loads.note(str(leader), 0, end_group(leader))

    def _end_co_runner(self) -> None:
        self._co_runner.stop()
        self._loads.give_back()

    def _rssi_dbm(self) -> float:
        signal_dbm = rssi_dbm(self._root / "proc/net/wireless", self._open_netlink, self._wifi_interface)
        return NO_RADIO_DBM if signal_dbm is None else signal_dbm


def _whole(knob: str, value: str) -> int:
    try:
        return round(float(value))
    except ValueError:
        raise ControlRefused(f"{knob}: '{value}' is no number") from None
