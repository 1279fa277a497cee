"""What the agent asks of a board: targets that run models, frequencies, telemetry, co-runners, and a clock.

Agent-side code: Python 3.10-3.12, numpy and the standard library; a backend may import what it runs on, lazily.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scheduler.contract import TrueMeans
from testbed.agent.affinity import Cores
from testbed.agent.guard.guard import Guard

Tensors = Mapping[str, NDArray[np.generic]]


class Clock(Protocol):
    """The board's own clock; its origin and rate are its own."""

    def now_ns(self) -> int: ...

    def sleep_until(self, time_ns: int) -> None:
        """Sleep, then spin the last moments; returns at once when the time has passed."""


@dataclass(frozen=True, slots=True)
class Model:
    """One network on the board's disk, ready for the targets."""

    name: str
    files: Mapping[str, Path]
    """precision, or a form of it that some processor wants instead -> ONNX file"""
    macs: int
    bytes_moved: Mapping[str, int]
    """precision -> bytes of weights and activations one inference moves through memory"""
    inputs: Sequence[Tensors]
    """the workload's inputs; a session is always given one of these very objects"""


class Span(NamedTuple):
    """A named stretch of an inference on the board's clock: "transmit", "compute", "receive"; "device" is an
    accelerator's own time, as long as its clock says."""

    name: str
    start_ns: int
    end_ns: int


class Result(NamedTuple):
    """One inference: what came out, and when, on the board's clock."""

    outputs: Tensors
    start_ns: int
    end_ns: int
    spans: tuple[Span, ...]


class Session(Protocol):
    """A model loaded on a target at a precision."""

    def warm(self, inputs: Sequence[Tensors]) -> None:
        """Run what must not be timed: first-run allocation, outputs a virtual processor hands out later."""

    def run(self, inputs: Tensors) -> Result:
        """One inference. Raises `TargetFailed` when the target gives no answer."""

    def close(self) -> None: ...


@runtime_checkable
class OnCores(Protocol):
    """A session that computes on the caller's own thread, among others, and on these cores.

    Whoever runs it holds its thread there meanwhile: at each run it would cost more than the rest of the harness.
    """

    @property
    def cores(self) -> Cores: ...


class Target(Protocol):
    """A place an inference can run."""

    def load(self, model: Model, precision: str) -> Session: ...


class CannotLoad(Exception):
    """This target cannot run the model: what it runs on or a file is missing, or the file will not do.

    A mistake of the bench or the suite, not an outcome; the message says the cure.
    """


class TargetFailed(Exception):
    """The target gave no answer: a time-out, a dead server. A recorded outcome, never a crash."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A frequency asked of a processor; None gives it back to its governor."""

    processor: str
    frequency_hz: float | None


@dataclass(frozen=True, slots=True)
class Observed:
    """The frequency read back."""

    processor: str
    frequency_hz: float | None


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the board sees of itself and its surroundings."""

    co_cpu: float
    """CPU utilisation of everything but the agent, 0..1"""
    co_memory: float
    """memory-bandwidth (or, where that cannot be seen, memory) utilisation of everything but the agent, 0..1"""
    rssi_dbm: float
    peer_rssi_dbm: float
    temperature_c: float | None
    throttled: bool | None
    """None where the board does not tell"""


@dataclass(frozen=True, slots=True)
class Warmth:
    """How warm the board is now."""

    temperature_c: float | None
    """of its warmest sensor; None where it has none"""
    throttled: bool | None
    """None where the board does not tell"""


@dataclass(frozen=True, slots=True)
class CoRun:
    """An interfering load as the suite names it."""

    cpu: float
    """busy share of its cores, 0..1"""
    memory: float
    """share of the board's memory bandwidth, 0..1"""
    cores: tuple[int, ...] = ()
    """that it is pinned to; empty: it runs on all of them"""
    nice: int = 0
    command: tuple[str, ...] = ()
    """a program of the user's own, which makes the load that it makes"""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> CoRun:
        """From plain values, of which what is not asked for is left out."""
        tuples = {name: tuple(values[name]) for name in ("cores", "command") if name in values}
        return cls(**{"cpu": 0.0, "memory": 0.0, **values, **tuples})


@dataclass(frozen=True, slots=True)
class CoRunning:
    """A co-runner as it was found to run."""

    cpu: float
    """busy share of its cores: measured, or as asked where it is modelled"""
    memory: float | None = None
    """share of the memory bandwidth, where it is modelled; nothing reads it back on a real board"""
    program: tuple[str, ...] = ()
    """what makes it; empty where nothing does"""
    full_memory_bytes_per_s: float | None = None
    """what the board's memory gives, of which shares are; None where no share was asked, or it is modelled"""
    strayed: tuple[str, ...] = ()
    """in which ways it does not run as asked"""


@dataclass(frozen=True, slots=True)
class Identity:
    """What board this is and what it can do."""

    model: str
    serial: str
    processors: Mapping[str, Sequence[str]]
    """target -> precisions it can run; remote targets included"""
    frequencies_hz: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """target -> frequencies it can be set to, ascending; absent where it cannot be set"""
    engines: Mapping[str, str] = field(default_factory=dict)
    """target -> what computes there and how it is set up, for the record"""
    forms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """target -> precision -> the form of the model's file it wants, where that is not the precision's own"""
    absent: Mapping[str, str] = field(default_factory=dict)
    """a target it might have been expected to have -> why it does not, and the cure"""
    cores: int = 1
    """of the CPU, that a load can keep busy"""
    labels: Sequence[str] = ()
    """what a reader of the results must know of how this board was set"""


@dataclass(frozen=True, slots=True)
class Burden:
    """A load that was carried, on the board's clock."""

    start_ns: int
    end_ns: int
    utilisation: float
    """of the cores that were to be busy, as it really was"""


class Marker(Protocol):
    """An output of the board that is wired to a meter's marker input."""

    def set(self, *, high: bool) -> None: ...


class Board(Protocol):
    """The device under test, from the inside. A context manager: leaving it gives everything back."""

    clock: Clock
    marker: Marker | None
    """None where none is wired"""

    def identify(self) -> Identity: ...

    def target(self, name: str) -> Target: ...

    def set(self, setting: Setting) -> Observed: ...

    def observe(self) -> Telemetry: ...

    def co_run(self, load: CoRun | None) -> CoRunning:
        """Have this co-runner run, or none; returns how it is found to. One that runs already is looked at again."""

    def cannot_co_run(self, load: CoRun) -> str:
        """What keeps a co-runner from running here, and the cure; empty where nothing does."""

    def warmth(self) -> Warmth:
        """Now, and without a look at anything else."""

    def carry(self, cores: int, utilisation: float, idle_s: float, duration_s: float) -> Burden:
        """Idle, then keep so many cores busy for a share of the time, at the CPU's present clock.

        Raises an exception that says why where the load was not as asked.
        """

    def pulse(self, code: Sequence[int], chip_s: float) -> int:
        """Load one core chip by chip (1 busy, 0 idle); returns when that began, on the board's clock."""

    def restore(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a board with knobs stands. Names end in SI units; loads are 0..1."""

    asked: Mapping[str, Any]
    """knob -> what it is set to, for as long as it is not given back"""
    held: Mapping[str, Any]
    """the same and more, as read back"""
    readings: Mapping[str, float]
    """clocks, temperatures, loads"""
    throttling: tuple[str, ...]
    """what has throttled the board since it was looked at before"""
    strayed: tuple[str, ...]
    """in which ways it is not as asked"""
    tells_throttling: bool
    """whether throttling would show"""


@runtime_checkable
class Controlled(Protocol):
    """A board with knobs beside the frequencies, which a guard gives back where this process cannot."""

    guard: Guard

    def tune(self, knob: str, value: str) -> None:
        """Set one by its name ("power_mode", "cores_on", "governor", a clock or a cap), a clock in Hz."""

    def standing(self) -> Standing:
        """Look at it; never while something is measured."""

    def sweep(self) -> Mapping[str, float]:
        """The readings alone, and loads of others: what is quick, for who looks often."""

    def offered(self) -> Mapping[str, Any]:
        """What each knob can be set to."""

    def locked(self) -> Sequence[str]:
        """What the agent's user may not set: files, and "power mode"."""


@runtime_checkable
class Simulated(Protocol):
    """What a virtual board knows besides: the truth, and the air around its radio."""

    @property
    def true_means(self) -> TrueMeans:
        """Means of each action under the present condition."""

    def true_energy_j(self, start_ns: int, end_ns: int) -> float:
        """Energy drawn from the supply in a window of the board's clock."""

    def set_air(self, condition: Mapping[str, float], target: str) -> Mapping[str, float]:
        """Put the way to a remote target under a condition (rssi_dbm, rates, delay...); returns the one in force."""

    def leave_pace_to_kernel(self) -> None:
        """Let a kernel shape the way to the targets reached from now on: the radio only draws power."""

    def know(self, model: Model) -> None:
        """Remember what a model asks of processors and of the network."""

    def reach(self, target: str, url: str, patience_s: float) -> str:
        """The address at which this board's applications reach a remote target's server through its radio.

        They wait `patience_s` for an answer.
        """
