"""A virtual board: silicon by a law, everything else real. It lives inside the agent, on a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np

from scheduler.contract import REMOTE_TARGETS
from testbed.agent.contract import (
    Burden,
    Clock,
    CoRun,
    CoRunning,
    Identity,
    Marker,
    Model,
    Observed,
    Setting,
    Standing,
    Telemetry,
    Warmth,
)
from testbed.agent.guard.guard import Guard
from testbed.virtual import silicon
from testbed.virtual.air import Air
from testbed.virtual.carriage import Carriage
from testbed.virtual.catalogue import Catalogue
from testbed.virtual.clock import LivingClock, VirtualClock
from testbed.virtual.config import Config, profile_in, read
from testbed.virtual.controls import open_controls
from testbed.virtual.marker import MarkerWire
from testbed.virtual.networks import Work
from testbed.virtual.passage import Passage
from testbed.virtual.processor import VirtualTarget
from testbed.virtual.radio import Radio
from testbed.virtual.rail import Rail
from testbed.virtual.supply import SupplyReader
from testbed.virtual.telemetry import read_load, read_signal
from testbed.virtual.thermal import Thermal
from testbed.virtual.truth import Present, Truth
from testbed.virtual.tuning import Tuned

IDLE = CoRun(cpu=0.0, memory=0.0)
REGULAR_AIR = Air(rssi_dbm=-58.0, rate_up_bps=49e6, rate_down_bps=49e6, delay_s=0.003, jitter_s=0.002, loss=0.0)
"""until `set_air`: the regular signal of the suite's environments, on 802.11n HT40"""
TEMPERATURE_STEP_C = 0.5
LIVING_S = 0.02
"""how often heat is followed, under a long load and in a wait"""


def open_board(config: Mapping[str, Any]) -> VirtualBoard:
    """The board that `config` describes (the fields of `config.Config`). Raises ValueError for a wrong one."""
    return VirtualBoard(read(config))


@dataclass(slots=True)
class Overshoot:
    """How late the host woke this process after an inference's planned end. The board's latency does not hold it."""

    inferences: int = 0
    total_ns: int = 0
    worst_ns: int = 0

    def count(self, late_ns: int) -> None:
        """Add one."""
        self.inferences += 1
        self.total_ns += late_ns
        self.worst_ns = max(self.worst_ns, late_ns)


class VirtualBoard:
    """Implements `Board`, `Controlled` and `Simulated`."""

    def __init__(self, config: Config) -> None:
        profile = profile_in(config)
        cooling = profile.cooling
        self.profile = replace(
            profile, cooling=replace(cooling, time_constant_s=cooling.time_constant_s * config.thermal_time_scale)
        )
        self._clock = VirtualClock(config.clock_offset_s, config.clock_drift_ppm)
        self.clock: Clock = LivingClock(self._clock, self._live, LIVING_S)
        self.overshoot = Overshoot()
        self._config = config
        self._serial = f"virtual-{config.seed}"
        self._seeds = np.random.SeedSequence(config.seed)
        self._random, self._sensor = (np.random.default_rng(seed) for seed in self._seeds.spawn(2))
        self._airs = dict.fromkeys(REMOTE_TARGETS, REGULAR_AIR)
        self._radios: dict[str, Radio] = {}
        self._carrier: type[Passage] | type[Carriage] = Passage
        self._co_run = IDLE
        self._thermal = Thermal(self.profile.cooling, config.ambient_c, self.profile.idle_w)
        self._lived_ns = time.monotonic_ns()
        self._lived_extra_j = 0.0
        self._catalogue = Catalogue()
        self._tuned = Tuned(self.profile)
        self.true_means = Truth(self.profile, self._present, self._catalogue.request_of)
        with ExitStack() as stack:
            self.guard = stack.enter_context(Guard())
            self._controls = open_controls(config, self.profile, self._serial, self.guard, stack)
            self._rail = stack.enter_context(Rail(config.supply, self._base_w()))
            self._supply = stack.enter_context(SupplyReader(config.supply))
            self.marker: Marker | None = stack.enter_context(MarkerWire(config.supply)) if config.marker else None
            self._open = stack.pop_all()

    def identify(self) -> Identity:
        """The profile's name, marked virtual; altered constants are part of it."""
        scale = self._config.thermal_time_scale
        altered = "" if scale == 1.0 else f", thermal time constant x{scale:g}"
        processors = self.profile.processors
        return Identity(
            model=f"virtual {self.profile.model}{altered}",
            serial=self._serial,
            processors={name: processor.precisions for name, processor in processors.items()},
            cores=self.profile.cores,
            frequencies_hz=self._controls.steps_hz(),
            labels=self._controls.labels,
        )

    def target(self, name: str) -> VirtualTarget:
        """Raises ValueError when the board has no such processor."""
        return VirtualTarget(name, self.profile.processor(name), self._catalogue, self._infer)

    def set(self, setting: Setting) -> Observed:
        """Hold a processor at one of its frequency steps, or give it back; a throttling board reads back less.

        Raises ControlRefused for what is no step.
        """
        self._live()
        return self._controls.set(setting)

    def tune(self, knob: str, value: str) -> None:
        """Raises ControlRefused."""
        self._controls.tune(knob, value)

    def offered(self) -> Mapping[str, Any]:
        """As the tree offers it."""
        return self._controls.offered()

    def locked(self) -> Sequence[str]:
        """Nothing, but to another user than the agent's."""
        return self._controls.locked()

    def standing(self) -> Standing:
        """As the tree tells it."""
        self._live()
        return self._controls.standing()

    def sweep(self) -> Mapping[str, float]:
        """Of the tree; loads and signal are exact: looking draws nothing from the seeded chance of `observe`."""
        self._live()
        loads = {"others_cpu": self._co_run.cpu, "others_memory": self._co_run.memory}
        return {**self._controls.readings(), **loads, "rssi_dbm": self._airs["cloud"].rssi_dbm}

    def observe(self) -> Telemetry:
        """Noisy and quantised, as a board's own readings are: to 1 % of load, 1 dBm of signal, half a degree."""
        warmth = self.warmth()
        return Telemetry(
            co_cpu=float(read_load(self._sensor, self._co_run.cpu)),
            co_memory=float(read_load(self._sensor, self._co_run.memory)),
            rssi_dbm=float(read_signal(self._sensor, self._airs["cloud"].rssi_dbm)),
            peer_rssi_dbm=float(read_signal(self._sensor, self._airs["edge"].rssi_dbm)),
            temperature_c=warmth.temperature_c,
            throttled=warmth.throttled,
        )

    def warmth(self) -> Warmth:
        """To half a degree."""
        self._live()
        return Warmth(
            temperature_c=round(self._thermal.temperature_c / TEMPERATURE_STEP_C) * TEMPERATURE_STEP_C,
            throttled=self._thermal.throttled,
        )

    def co_run(self, load: CoRun | None) -> CoRunning:
        """Start, change or stop the co-runner. Raises ValueError for what it cannot be."""
        load = load or IDLE
        if refusal := self.cannot_co_run(load):
            raise ValueError(refusal)
        self._live()
        share = len(load.cores) / self.profile.cores if load.cores else 1.0
        self._co_run = CoRun(load.cpu * share, load.memory)
        self._rail.set_base(self._base_w())
        return CoRunning(load.cpu, load.memory)

    def cannot_co_run(self, load: CoRun) -> str:
        """Nothing runs beside a virtual board: a load is modelled, a program cannot be. Priorities make no difference.

        Cores are all alike: how many are busy counts, not which.
        """
        if load.command:
            return (
                f"'{load.command[0]}' would load this host and not the virtual board, whose co-runners are modelled: "
                "give cpu and memory, or a replay"
            )
        if not (0.0 <= load.cpu <= 1.0 and 0.0 <= load.memory <= 1.0):
            return f"a co-runner's loads lie in 0..1, not cpu {load.cpu:g}, memory {load.memory:g}"
        if missing := sorted(set(load.cores) - set(range(self.profile.cores))):
            return f"the virtual {self.profile.model} has no core {missing[0]}: it has 0 to {self.profile.cores - 1}"
        return ""

    def carry(self, cores: int, utilisation: float, idle_s: float, duration_s: float) -> Burden:
        """Cores that run out of step: their mean power, at the CPU's clock. Raises ValueError for what cannot be."""
        if not (0 < cores <= self.profile.cores and 0.0 <= utilisation <= 1.0):
            raise ValueError(f"{cores} cores at {utilisation:.0%} cannot be loaded: there are {self.profile.cores}")
        self.clock.sleep_until(self._clock.now_ns() + round(idle_s * 1e9))
        begun_ns, end_ns = None, time.monotonic_ns()
        left_s = duration_s
        while left_s > 0.0:
            self._live()
            slice_s = min(left_s, 2.0 * LIVING_S)
            busy_w = silicon.load_power_w(
                self.profile, cores * utilisation, self._controls.clock_hz("cpu"), self._thermal.throttled
            )
            start_ns, end_ns = self._rail.play(end_ns, [(slice_s, busy_w)])
            begun_ns = start_ns if begun_ns is None else begun_ns
            left_s -= slice_s
            # The next slice is planned before this one ends, so that a host that wakes late leaves no gap.
            early_ns = round(LIVING_S * 1e9) if left_s > 0.0 else 0
            self._clock.sleep_until(self._clock.from_host_ns(end_ns - early_ns))
        self._live()
        begun_ns = end_ns if begun_ns is None else begun_ns
        reached = utilisation * duration_s / max((end_ns - begun_ns) * 1e-9, duration_s)
        return Burden(self._clock.from_host_ns(begun_ns), self._clock.from_host_ns(end_ns), reached)

    def pulse(self, code: Sequence[int], chip_s: float) -> int:
        """One core of the CPU at its highest frequency, chip by chip; its power rises and falls at once."""
        self._live()
        busy_w = self.profile.cpu_full_w / self.profile.cores
        start_ns, end_ns = self._rail.play(time.monotonic_ns(), [(chip_s, busy_w * chip) for chip in code])
        self._clock.sleep_until(self._clock.from_host_ns(end_ns))
        return self._clock.from_host_ns(start_ns)

    def set_air(self, condition: Mapping[str, float], target: str) -> Mapping[str, float]:
        """Put the way to a remote target under a condition, the fields of `air.Air`.

        Raises TypeError for a wrong or missing field, ValueError for a target that is not remote.
        """
        if target not in REMOTE_TARGETS:
            raise ValueError(f"no air lies between the board and {target!r}; it lies before {sorted(REMOTE_TARGETS)}")
        self._airs[target] = air = Air(**condition)
        if target in self._radios:
            self._radios[target].set_air(air)
        return asdict(air)

    def know(self, model: Model) -> None:
        """Remember what a model asks of processors and of the network."""
        self._catalogue.add(model)

    def reach(self, target: str, url: str, patience_s: float) -> str:
        """Where the board's applications find the server at `url`: behind a radio of this board."""
        self.true_means.give_up_after(target, patience_s)
        seed = int(self._seeds.spawn(1)[0].generate_state(1)[0])
        power, air = self.profile.radio, self._airs[target]
        radio = self._open.enter_context(Radio(url, power, self._play_radio, air, seed, self._carrier))
        self._radios[target] = radio
        return radio.url

    def leave_pace_to_kernel(self) -> None:
        """The radio of every target reached from now on passes bytes on as the kernel lets them through."""
        self._carrier = Carriage

    def true_energy_j(self, start_ns: int, end_ns: int) -> float:
        """What the board drew in a window of its clock, exactly."""
        self._supply.refresh()
        return self._supply.energy_j(self._clock.to_host_ns(start_ns), self._clock.to_host_ns(end_ns))

    def restore(self) -> None:
        """Stop the co-runner, give every clock back, clear the air."""
        self.co_run(None)
        self._controls.give_back()
        for target in REMOTE_TARGETS:
            self.set_air(asdict(REGULAR_AIR), target)

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _infer(self, processor: str, work: Work, precision: str) -> tuple[int, int]:
        """Live through one inference; returns its start and end on the board's clock."""
        self._live()
        law = self._tuned.inference(
            self._controls.tuning,
            processor,
            work,
            precision,
            self._controls.clock_hz(processor),
            self._co_run,
            self._thermal.throttled,
        )
        fate = law.draw(self._random, 1)
        start_ns = time.monotonic_ns()
        _, host_end_ns = self._rail.play(start_ns, law.phases(float(fate.factor[0]), float(fate.stall_s[0])))
        self._controls.busy(processor, host_end_ns * 1e-9)
        end_ns = self._clock.from_host_ns(host_end_ns)
        self._clock.sleep_until(end_ns)
        self.overshoot.count(time.monotonic_ns() - host_end_ns)
        return self._clock.from_host_ns(start_ns), end_ns

    def _play_radio(self, start_ns: int, phases: Sequence[tuple[float, float]]) -> None:
        self._rail.play(start_ns, phases)

    def _present(self) -> Present:
        self._live()
        return Present(
            self._co_run,
            self._thermal.temperature_c,
            self._thermal.throttled,
            self._airs,
            self._controls.tuning,
            {name: self._controls.clock_hz(name) for name in self.profile.processors},
        )

    def _base_w(self) -> float:
        profile = self._tuned.profile(self._controls.tuning)
        return silicon.base_power_w(profile, self._co_run, self._thermal.temperature_c)

    def _live(self) -> None:
        """Bring the temperature, and the leakage with it, up to the present."""
        now_ns = time.monotonic_ns()
        duration_s = (now_ns - self._lived_ns) * 1e-9
        extra_j = self._rail.extra_j
        if duration_s > 0.0:
            mean_w = self._base_w() + (extra_j - self._lived_extra_j) / duration_s
            self._thermal.advance(duration_s, mean_w)
            self._lived_ns, self._lived_extra_j = now_ns, extra_j
            self._rail.set_base(self._base_w())
        self._controls.feel(self._thermal.temperature_c, throttled=self._thermal.throttled)
