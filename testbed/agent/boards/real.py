"""A real board that runs Linux, made of the parts that its kind has.

Nothing is read while a trial runs: a thread that samples would take a core's time and the interpreter's lock from what
is measured, and be in its joules. What happened meanwhile shows in counters and in what is read before and after.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed.agent.affinity import Cores
from testbed.agent.boards.desk import Desk, Parts
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
from testbed.agent.control.files import text
from testbed.agent.control.ledger import Ledger, board_of
from testbed.agent.corunner import CoRunner
from testbed.agent.gpio import GpioMarker
from testbed.agent.guard.guard import Guard
from testbed.agent.guard.lease import sweep
from testbed.agent.guard.undo import end_group
from testbed.agent.pulse import burn
from testbed.agent.telemetry.load import OthersCpu, OthersMemory
from testbed.agent.wireless import open_generic_netlink, rssi_dbm

_log = logging.getLogger(__name__)

NO_RADIO_DBM = -30.0
"""reported by a board without Wi-Fi: a cable is as good as a signal gets"""
_LOADS = "load-"
"""how the leases on co-runners are called, before their agent's process"""


class RealBoard:
    """Implements `Board` and `Controlled`. Leaving it gives everything back."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        """Raises ControlRefused, with everything as it was, where the board cannot be set as the bench asks."""
        self.clock = MonotonicClock()
        root = self._root = settings.root
        self._wifi_interface = settings.wifi_interface
        self._engines = find_engines(
            self.clock, settings.threads, Cores(settings.cores), cuda_graph=settings.cuda_graph
        )
        # The kernel that netlink reaches is this machine's, whatever tree its files are looked for in.
        self._open_netlink = open_generic_netlink if root == Path("/") else None
        with ExitStack() as stack:
            self.guard = stack.enter_context(Guard())
            self._ledger = Ledger(board_of(root), settings.owner, self.guard, settings.leases)
            self._ledger.mend()
            for line in sweep(settings.leases, _LOADS):  # a co-runner would interfere with whoever comes next
                _log.info(line)
            self._loads = Ledger(f"{_LOADS}{os.getpid()}", settings.owner, self.guard, settings.leases)
            self._desk = Desk(root, parts, self._ledger)
            stack.callback(self._desk.close)
            stack.callback(self._desk.give_back)
            self._co_runner = CoRunner(self._note_co_runner)
            stack.callback(self._end_co_runner)
            self._cpu = OthersCpu(root / "proc", lambda: self._co_runner.ended_s)
            self._memory = OthersMemory(root / "proc")
            for closing in (self._cpu, self._memory):
                stack.callback(closing.close)
            self.marker: Marker | None = None
            if settings.marker is not None:
                self.marker = stack.enter_context(GpioMarker(*settings.marker))
            self._desk.fulfil(settings.wishes)
            self._open = stack.pop_all()

    def __enter__(self) -> RealBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def identify(self) -> Identity:
        tree, steps = self._root / "proc/device-tree", self._desk.steps_hz()
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
        return self._desk.set(setting)

    def tune(self, knob: str, value: str) -> None:
        """Raises ControlRefused."""
        self._desk.tune(knob, value)

    def offered(self) -> Mapping[str, Any]:
        return self._desk.offered()

    def locked(self) -> list[str]:
        return self._desk.locked()

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
        return Warmth(temperature_c=self._desk.hottest_c(), throttled=self._desk.throttled)

    def sweep(self) -> Mapping[str, float]:
        loads = {"others_cpu": self._cpu.share(), "others_memory": self._memory.share()}
        return {**self._desk.readings(), **loads, "rssi_dbm": self._rssi_dbm()}

    def standing(self) -> Standing:
        standing = self._desk.standing()
        co_runner, ended = self._co_runner.share(), self._co_runner.ended()
        return replace(
            standing,
            readings={**standing.readings, **({} if co_runner is None else {"co_runner_cpu": co_runner})},
            strayed=(*standing.strayed, *([ended] if ended else [])),
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
        self._desk.give_back()

    def _note_co_runner(self, leader: int) -> None:
        self._loads.note(str(leader), 0, end_group(leader))

    def _end_co_runner(self) -> None:
        self._co_runner.stop()
        self._loads.give_back()

    def _rssi_dbm(self) -> float:
        signal_dbm = rssi_dbm(self._root / "proc/net/wireless", self._open_netlink, self._wifi_interface)
        return NO_RADIO_DBM if signal_dbm is None else signal_dbm
