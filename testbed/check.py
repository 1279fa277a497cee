"""Checks a meter against a known resistor: its offset with nothing connected, its gain with the load."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

from power import Channel, MonitorSpec, PowerMonitor, Recorder
from power.load_check import KnownLoad, Steady, find_correction, within_limit
from testbed.calibration import CalibrationRecord, Conditions, settings_of
from testbed.config.plugins import MonitorSettings
from testbed.errors import BenchError
from testbed.farend import FarEnd

LEAD_S = 1.0
"""trace that passes before each reading: the meter's clock settles, and a switch's bounce dies away"""
PATIENCE_S = 3.0


class Hands(Protocol):
    """Who works the load; each returns once it is done."""

    def disconnect(self) -> None: ...

    def connect(self) -> None: ...


class Resistor:
    """The hands at a virtual resistor."""

    def __init__(self, far_end: FarEnd) -> None:
        self._far_end = far_end

    def disconnect(self) -> None:
        """Take the load off."""
        self._tell("open")

    def connect(self) -> None:
        """Put the load on."""
        self._tell("connect")

    def _tell(self, command: str) -> None:
        self._far_end.say(command)
        self._far_end.hear(PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Load:
    """The resistor and its supply, as the person states them. Tolerances are limits, relative, rectangular."""

    resistance_ohm: float
    tolerance: float
    supply_v: float | None
    """None: the meter's own reading counts"""
    supply_tolerance: float
    """of a stated voltage"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One error of the meter beside its maker's limit."""

    what: str
    error: float
    standard_uncertainty: float
    limit: float

    @property
    def within(self) -> bool | None:
        """None: not known well enough to tell."""
        return within_limit(self.error, self.standard_uncertainty, self.limit)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found."""

    record: CalibrationRecord
    gain: Verdict
    offset: Verdict

    @property
    def worth_keeping(self) -> bool:
        """Whether the gain is known better than by the maker's limit."""
        return self.gain.standard_uncertainty < self.gain.limit / math.sqrt(3.0)


def check(
    monitor: PowerMonitor,
    settings: MonitorSettings,
    channel: str | None,
    load: Load,
    hands: Hands,
    duration_s: float,
    valid_days: int,
) -> Outcome:
    """Measure an uncorrected monitor, `duration_s` without the load and as long with it.

    Raises BenchError, or a PowerError, where nothing can be concluded.
    """
    with Recorder(monitor) as recorder:
        number = _channel(monitor.spec, channel)
        spec = monitor.spec.channels[number]
        if load.supply_v is None and spec.voltage_standard_uncertainty is None:
            raise BenchError(
                f"{monitor.spec.name} does not measure the voltage to a known accuracy: measure it at the load, "
                "and give it with --supply-v"
            )
        specimen = monitor.specimen
        if specimen is None:
            raise BenchError(f"{monitor.spec.name} has no serial number: a calibration could not be told to be its own")
        hands.disconnect()
        bare = _read(recorder, number, duration_s)
        hands.connect()
        loaded = _read(recorder, number, duration_s)
    known = _known(load, spec, loaded)
    correction = find_correction(bare, loaded, known, spec)
    created = datetime.now(timezone.utc)
    record = CalibrationRecord(
        kind=settings.kind,
        serial=specimen.serial,
        firmware=specimen.firmware,
        channel=spec.name,
        settings=settings_of(settings),
        created=created,
        expires=created + timedelta(days=valid_days),
        gain=correction.gain,
        gain_standard_uncertainty=correction.gain_standard_uncertainty,
        offset_w=correction.offset_w,
        offset_standard_uncertainty_w=correction.offset_standard_uncertainty_w,
        conditions=Conditions(
            load_ohm=load.resistance_ohm,
            load_standard_uncertainty=known.resistance_standard_uncertainty,
            supply_v=known.voltage_v,
            supply_standard_uncertainty=known.voltage_standard_uncertainty,
            supply_by="meter" if load.supply_v is None else "given",
            load_power_w=known.power_w,
            samples=bare.samples + loaded.samples,
        ),
    )
    limit = math.sqrt(3.0)  # of a rectangular distribution, over its standard uncertainty
    return Outcome(
        record,
        Verdict(
            "gain",
            correction.gain,
            correction.gain_standard_uncertainty,
            limit * spec.gain_standard_uncertainty,
        ),
        Verdict(
            "offset",
            correction.offset_w,
            correction.offset_standard_uncertainty_w,
            limit * spec.offset_standard_uncertainty_w,
        ),
    )


def _channel(spec: MonitorSpec, wanted: str | None) -> int:
    names = [channel.name for channel in spec.channels]
    if wanted in names:
        return names.index(wanted)
    if wanted is None and len(names) == 1:
        return 0
    asked = "more than one channel" if wanted is None else f"no channel '{wanted}'"
    raise BenchError(f"{spec.name} has {asked}: choose with --channel one of {', '.join(names)}")


def _read(recorder: Recorder, channel: int, duration_s: float) -> Steady:
    start_ns = time.monotonic_ns() + round(LEAD_S * 1e9)
    end_ns = start_ns + round(duration_s * 1e9)
    recorder.wait_until(end_ns, LEAD_S + duration_s + PATIENCE_S)
    monitor = recorder.monitor
    return Steady.of(recorder.between(start_ns, end_ns), channel, monitor.spec.channels[channel])


def _known(load: Load, spec: Channel, loaded: Steady) -> KnownLoad:
    resistance_u = load.tolerance / math.sqrt(3.0)
    if load.supply_v is not None:
        return KnownLoad(load.resistance_ohm, resistance_u, load.supply_v, load.supply_tolerance / math.sqrt(3.0))
    if loaded.voltage_v is None or spec.voltage_standard_uncertainty is None:
        raise BenchError("the meter gave no voltage: measure it at the load, and give it with --supply-v")
    return KnownLoad(load.resistance_ohm, resistance_u, loaded.voltage_v, spec.voltage_standard_uncertainty)
