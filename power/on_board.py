"""A meter that sits on the board itself, read by a small program there: what all of its kinds have in common."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from power.clock import ClockFit, known
from power.errors import MonitorSilent, SensorFault, Unintelligible
from power.monitor import SHORTEST_WINDOW_SAMPLES, Channel, Kind, MonitorSpec, Specimen
from power.sampler_clock import SamplerClock
from power.sampler_process import Message, Place, SamplerProcess, Source
from power.samples import FloatArray, Samples

log = logging.getLogger(__name__)

SILENCE_NS = 1_000_000_000
SLOWER = 1.05
"""a schedule stretched by more is worth a word"""
DURATIONS = 256
"""sweeps whose length tells how well a reading's moment is known"""


@dataclass(frozen=True, slots=True)
class Readings:
    """What n sweeps tell of c channels: arrays of shape (n, c)."""

    power_w: FloatArray
    """of a counting meter, energy in J since the sweep before"""
    sound: NDArray[np.bool_]
    """shape (n,); a sweep that is not counts as lost"""
    voltage_v: FloatArray | None = None
    current_a: FloatArray | None = None


class Decoder(Protocol):
    """Turns what the sensor's files hold into SI units, sweep after sweep."""

    def decode(self, rows: Sequence[Sequence[Any]]) -> Readings:
        """Rows of values, one for each source. Raises `ValueError` for what is no reading."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a survey of the board found."""

    sources: Sequence[tuple[Source, int]]
    """what to read, and in every how-manieth sweep"""
    channels: tuple[Channel, ...]
    total: tuple[int, ...]
    decoder: Decoder
    remarks: Sequence[str] = ()
    """what a person should know of this board's rails"""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a kind of sensor comes by its readings."""

    kind: Kind
    aperture_s: float
    """0 for an instantaneous one; a counting one's is its period, whatever this says"""
    refresh_s: float
    """a reading is up to so old when it is read"""
    cures: Mapping[int, str] = field(default_factory=dict)
    """errno of a reading that fails -> what a person does about it"""


class BoardSensor(Protocol):
    """One kind of sensor on a board."""

    @property
    def name(self) -> str:
        """As it stands in messages."""

    @property
    def manner(self) -> Manner: ...

    def survey(self, board: SamplerProcess) -> Layout:
        """Look at the board and set its sensor up. Raises `SensorFault`, `WrongDevice`."""


class OnBoard:
    """A `PowerMonitor`. `rate_hz` is what to ask for: where board or sensor are slower the period is longer, and the
    spec tells.

    Its channels are known once it is open. The sampler runs on the board: its work is in what it measures.
    """

    def __init__(
        self,
        sensor: BoardSensor,
        *,
        rate_hz: float,
        place: Place | None = None,
        wait_s: float = 0.02,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not rate_hz > 0:
            raise ValueError(f"rate_hz must be positive, got {rate_hz:g}")
        self._sensor, self._place, self._wait_s, self._now = sensor, place or Place(), wait_s, clock
        self._rate_hz = rate_hz
        self._spec = _spec(f"{sensor.name} on {self._place.via}", sensor.manner, rate_hz, (), ())
        self._process: SamplerProcess | None = None
        self._layout: Layout | None = None
        self._forget()

    def _forget(self) -> None:
        self._clock = SamplerClock()
        self._pending: list[Message] = []
        self._durations_ns: deque[int] = deque(maxlen=DURATIONS)
        self._previous_ns: int | None = None
        """controller time of the sweep before, where the sensor counts"""
        self._heard_ns = self._now()

    @property
    def spec(self) -> MonitorSpec:
        """How it measures; without channels until it is open, and at the rate asked for until it has started."""
        return self._spec

    @property
    def clock(self) -> ClockFit:
        """How the board's clock is mapped to the controller's, with what is not known of a reading's age.

        Raises `MonitorSilent` before the first samples.
        """
        fit = known(self._clock.fit, self._spec.name)
        sweep_s = float(np.median(self._durations_ns)) * 1e-9 if self._durations_ns else 0.0
        age_s = math.hypot(sweep_s, self._sensor.manner.refresh_s) / math.sqrt(12.0)
        return replace(fit, standard_uncertainty_s=math.hypot(fit.standard_uncertainty_s, age_s))

    @property
    def specimen(self) -> Specimen | None:
        """None: these sensors have no serial number."""
        return None

    def open(self) -> None:
        """Start the sampler on the board and find the sensor there. Raises `BoardUnreachable`, `SensorFault`."""
        self.close()
        self._process = SamplerProcess(self._spec.name, self._place)
        try:
            for code, advice in self._sensor.manner.cures.items():
                self._process.cure(code, advice)
            self._layout = layout = self._sensor.survey(self._process)
            for remark in layout.remarks:
                log.warning("%s: %s", self._spec.name, remark)
            self._spec = _spec(self._spec.name, self._sensor.manner, self._spec.rate_hz, layout.channels, layout.total)
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Begin sampling, at the rate asked for or at what the board can keep."""
        sources = [(*source, every) for source, every in self._opened_layout().sources]
        self._forget()
        # More often than the sensor has something new tells nothing.
        asked_ns = round(1e9 * max(1.0 / self._rate_hz, self._sensor.manner.refresh_s))
        (period_ns,) = self._opened().ask("started", "start", asked_ns, sources)
        if period_ns > SLOWER * asked_ns:
            log.warning("%s: %.3g samples/s, the board is too slow for the rest", self._spec.name, 1e9 / period_ns)
        self._spec = _spec(self._spec.name, self._sensor.manner, 1e9 / period_ns, self._spec.channels, self._spec.total)
        self._heard_ns = self._now()

    def read(self) -> Samples:
        """The samples that came, oldest first.

        Raises `MonitorGone`, `MonitorSilent`, `SensorFault`, `Unintelligible`.
        """
        process = self._opened()
        for message, arrival_ns in process.hear(self._wait_s):
            if message[0] == "sweep":
                self._pending.append(message)
                self._heard_ns = arrival_ns
            elif message[0] == "sync":
                number, received_ns, sent_ns = message[1:]
                self._clock.answered(number, received_ns, sent_ns, arrival_ns)
        now_ns = self._now()
        if now_ns - self._heard_ns > max(SILENCE_NS, 10 * round(self._spec.period_s * 1e9)):
            raise MonitorSilent(f"{self._spec.name} has sent no sample for {(now_ns - self._heard_ns) * 1e-9:.1f} s")
        if self._clock.due(now_ns):
            process.say(self._clock.ask(self._now()))
        if not self._clock.settled or not self._pending:
            return Samples.empty()
        sweeps, self._pending = self._pending, []
        return self._placed(sweeps)

    def stop(self) -> None:
        """End sampling; samples still under way are dropped."""
        self._opened().ask("stopped", "stop")

    def close(self) -> None:
        """End the sampler."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _placed(self, sweeps: list[Message]) -> Samples:
        """Samples of sweeps, in time: a reading is as old as the middle of its sweep, and half its refresh older."""
        try:
            index, before_ns, after_ns = np.array([sweep[1:4] for sweep in sweeps], np.int64).T
            readings = self._opened_layout().decoder.decode([sweep[4] for sweep in sweeps])
        except (ValueError, IndexError, TypeError) as error:
            raise Unintelligible(f"{self._spec.name}: the sensor's files hold no readings: {error}") from None
        self._durations_ns.extend((after_ns - before_ns).tolist())
        age_ns = round(self._sensor.manner.refresh_s * 1e9 / 2)
        time_ns = self._clock.to_controller((before_ns + after_ns) // 2 - age_ns)
        power_w, sound = readings.power_w, readings.sound.copy()
        if self._sensor.manner.kind is Kind.COUNTING:
            since_s = np.diff(time_ns, prepend=time_ns[0] if self._previous_ns is None else self._previous_ns) * 1e-9
            self._previous_ns = int(time_ns[-1])
            sound &= since_s > 0
            power_w = power_w / np.where(since_s > 0, since_s, 1.0)[:, np.newaxis]
        if not sound.all():
            index, time_ns, power_w = index[sound], time_ns[sound], power_w[sound]
        channels = power_w.shape[1]
        return Samples(
            index=np.repeat(index, channels),
            time_ns=np.repeat(time_ns, channels),
            channel=np.tile(np.arange(channels, dtype=np.uint8), len(index)),
            power_w=power_w.ravel(),
            voltage_v=None if readings.voltage_v is None else readings.voltage_v[sound].ravel(),
            current_a=None if readings.current_a is None else readings.current_a[sound].ravel(),
        )

    def _opened(self) -> SamplerProcess:
        if self._process is None:
            raise MonitorSilent(f"{self._spec.name} is not open")
        return self._process

    def _opened_layout(self) -> Layout:
        if self._layout is None:
            raise MonitorSilent(f"{self._spec.name} is not open")
        return self._layout


def missing(name: str, what: str, there: Sequence[str], cure: str) -> SensorFault:
    """The fault of a board that lacks what was asked of it."""
    found = f"there are {', '.join(there)}" if there else "there are none"
    return SensorFault(f"{name}: no {what} on this board; {found}; {cure}")


def _spec(
    name: str, manner: Manner, rate_hz: float, channels: tuple[Channel, ...], total: tuple[int, ...]
) -> MonitorSpec:
    return MonitorSpec(
        name=name,
        rate_hz=rate_hz,
        channels=channels,
        kind=manner.kind,
        aperture_s=1.0 / rate_hz if manner.kind is Kind.COUNTING else min(manner.aperture_s, 1.0 / rate_hz),
        shortest_window_s=SHORTEST_WINDOW_SAMPLES / rate_hz,
        total=total,
    )
