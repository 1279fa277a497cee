"""Captures of emulated meters through the real drivers: measured joules beside true ones.

Every capture draws a load and a specimen of a meter (gain, offset, sampling phase, drift, latencies: from the
distributions its spec states), runs the emulated meter as a process of its own, reads it through the real driver, and
cuts two windows of each length: one that coincides with a burst of load amid idle (padded cut), one at a random place.
"""

from __future__ import annotations

import math
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.far_end import FarEnd, Nursery
from bench.waveform import Segment, Waveform
from power import (
    BridgeInput,
    ClockFit,
    InaBridge,
    MonsoonInput,
    MonsoonLvpm,
    PowerMonitor,
    Samples,
    WindowTooShort,
    cut,
)

WINDOWS_S = (0.005, 0.02, 0.1, 1.0)
LOADS = ("step", "ramp", "pulse")
LEAD_S, REST_S, TAIL_S = 0.4, 0.065, 0.05
"""idle before the first burst, in which the clocks settle; after each; after the last"""
PAD_S, GUARD_S = 0.004, 0.03
SENSORS = (("ina219", 5.0, 0.1, 0.005, 100e-6, 3.0, 12.0), ("ina226", 15.0, 0.02, 0.001, 10e-6, 5.0, 40.0))
"""name, supply in V, shunt in ohm, limits of gain and of offset in V, the board's idle and top power in W"""
KINDS = len(LOADS) * len(SENSORS)
"""of captures, in turn"""
TURNS, GENERATOR = 17, 12
"""a Korobov lattice: after so many captures of a kind every limit was drawn evenly, and so were their sums"""
WAIT_S = 2e-4


@dataclass(frozen=True, slots=True)
class Point:
    """One window, measured and true."""

    meter: str
    load: str
    place: str
    """"edges" of the load, with a padded cut, or "random", with a plain one"""
    window_s: float
    energy_j: float
    true_j: float
    standard_uncertainty_j: float

    @property
    def relative_error(self) -> float:
        return self.energy_j / self.true_j - 1.0

    @property
    def normalised_error(self) -> float:
        return (self.energy_j - self.true_j) / self.standard_uncertainty_j


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of one class of points."""

    count: int
    bias: float
    """mean relative error"""
    spread: float
    """standard deviation of the relative error"""
    coverage: float
    """fraction within two standard uncertainties"""
    normalised_rms: float
    """root mean square of error over standard uncertainty"""

    @staticmethod
    def of(points: Iterable[Point]) -> Accuracy:
        relative, normalised = np.array([(point.relative_error, point.normalised_error) for point in points]).T
        return Accuracy(
            count=len(relative),
            bias=float(np.mean(relative)),
            spread=float(np.std(relative)),
            coverage=float(np.mean(np.abs(normalised) <= 2.0)),
            normalised_rms=float(np.sqrt(np.mean(normalised**2))),
        )


class Specimen:
    """A source of one capture's random figures.

    What lies within limits comes from a shifted lattice over the captures of one kind. A gain or an offset acts on all
    windows of its capture alike, so independent draws would leave a class of some 20 specimens to chance.
    """

    def __init__(self, seed: int, capture: int) -> None:
        self.random = np.random.default_rng((seed, capture))
        self._shift = np.random.default_rng((seed, capture % KINDS))
        self._turn = capture // KINDS
        self._drawn = 0

    def within(self, limit: float) -> float:
        """Rectangular in plus and minus the limit."""
        step = GENERATOR**self._drawn % TURNS / TURNS
        self._drawn += 1
        return limit * (2.0 * ((self._shift.random() + self._turn * step) % 1.0) - 1.0)


@dataclass(frozen=True, slots=True)
class Rig:
    """A meter at both ends of its wire."""

    far_end: FarEnd
    monitor: Callable[[str], PowerMonitor]
    """from the port's path"""
    idle_w: float
    top_w: float
    quick_ns: int
    """the reader comes back after once or twice this, now and then much later"""


def monsoon(nursery: Nursery, supply: Path, seed: int, specimen: Specimen) -> Rig:
    """An LVPM, its current calibrated to 0.3 %, whose aux channel measures a board on 15 V +- 0.3 %."""
    limit = 0.003
    far_end = nursery.meter(
        "monsoon",
        {
            "supply": supply,
            "seed": seed,
            "output": "aux",
            "output-voltage": 15.0 * (1.0 + specimen.within(limit)),
            "gain-error": specimen.within(limit),
            "offset-a": specimen.within(1e-3),
            "drift-ppm": specimen.random.normal(0.0, 20.0),
            "latency-ms": np.clip(specimen.random.normal(0.5, 0.3), 0.0, 1.0),
            "jitter-ms": specimen.random.uniform(0.2, 2.0),
        },
    )
    return Rig(
        far_end,
        lambda port: MonsoonLvpm(
            port,
            [MonsoonInput("aux", 15.0, supply_standard_uncertainty=limit / math.sqrt(3.0))],
            gain_standard_uncertainty=limit / math.sqrt(3.0),
            wait_s=WAIT_S,
            clock=far_end.clock,
        ),
        idle_w=5.0,
        top_w=40.0,
        quick_ns=2_000_000,
    )


def bridge(nursery: Nursery, supply: Path, seed: int, specimen: Specimen) -> Rig:
    """Its sensor at its fastest, on a shunt of 0.1 %: an INA219 in the 5 V line of a small board, or an INA226 in the
    15 V line of a large one."""
    sensor, volts, shunt_ohm, gain_limit, offset_limit_v, idle_w, top_w = SENSORS[seed // len(LOADS) % len(SENSORS)]
    shunt_limit = 0.001
    far_end = nursery.meter(
        "bridge",
        {
            "supply": supply,
            "seed": seed,
            "sensor": f"{sensor}@0x40",
            "shunt-ohm": shunt_ohm,
            "supply-voltage": volts * specimen.random.uniform(0.98, 1.02),
            "gain-error": (1.0 + specimen.within(gain_limit)) * (1.0 + specimen.within(shunt_limit)) - 1.0,
            "bus-gain-error": specimen.within(gain_limit),
            "offset-v": specimen.within(offset_limit_v),
            "drift-ppm": specimen.random.uniform(-2000.0, 2000.0),
            "latency-ms": specimen.random.uniform(0.1, 0.6),
            "jitter-ms": specimen.random.uniform(0.1, 1.0),
            "clock-offset-s": 2**32 * 4e-6 - 0.8,
        },
    )
    return Rig(
        far_end,
        lambda port: InaBridge(
            port,
            BridgeInput(
                sensor=sensor,
                shunt_ohm=shunt_ohm,
                shunt_standard_uncertainty=shunt_limit / math.sqrt(3.0),
                supply_v=volts,
            ),
            wait_s=WAIT_S,
            clock=far_end.clock,
        ),
        idle_w=idle_w,
        top_w=top_w,
        quick_ns=300_000,
    )


METERS: Mapping[str, Callable[[Nursery, Path, int, Specimen], Rig]] = {"monsoon-lvpm": monsoon, "ina-bridge": bridge}


def burst(load: str, window_s: float, idle_w: float, top_w: float, random: np.random.Generator) -> list[Segment]:
    """What the board draws between two idle stretches."""
    low_w, high_w = sorted(random.uniform(idle_w, top_w, 2).tolist())
    if load == "step":
        return [Segment(window_s, high_w, high_w)]
    if load == "ramp":
        first_w, last_w = (low_w, high_w) if random.random() < 0.5 else (high_w, low_w)
        return [Segment(window_s, first_w, last_w)]
    cycles = max(1, round(window_s / random.uniform(2e-3, 15e-3)))
    on_s, off_s = np.array([duty := random.uniform(0.3, 0.7), 1.0 - duty]) * window_s / cycles
    return [Segment(on_s, high_w, high_w), Segment(off_s, low_w, low_w)] * cycles


def capture(nursery: Nursery, meter: str, number: int, seed: int, folder: Path) -> list[Point]:
    """One specimen, one trace, its windows. Windows that the meter refuses as too short are left out."""
    specimen = Specimen(seed, number)
    random = specimen.random
    load = LOADS[number % len(LOADS)]
    supply = folder / f"{meter}-{number}"
    supply.touch()
    rig = METERS[meter](nursery, supply, number, specimen)
    segments = [Segment(LEAD_S, rig.idle_w, rig.idle_w)]
    bursts_s: list[tuple[float, float]] = []
    for window_s in WINDOWS_S:
        start_s = sum(segment.length_s for segment in segments)
        segments += burst(load, window_s, rig.idle_w, rig.top_w, random)
        rest_s = REST_S + random.uniform(0.0, 0.01)
        segments.append(Segment(rest_s, rig.idle_w, rig.idle_w))
        bursts_s.append((start_s, window_s))
    segments.append(Segment(TAIL_S, rig.idle_w, rig.idle_w))
    waveform = Waveform(segments)
    waveform.write(supply)
    with rig.far_end as far_end:
        monitor = rig.monitor(far_end.port())
        samples, clocks = record(monitor, far_end, waveform.end_ns, rig.quick_ns, random)
    end_s = waveform.end_ns * 1e-9 - TAIL_S / 2
    points: list[Point] = []
    for start_s, window_s in bursts_s:
        for place, at_s in (("edges", start_s), ("random", random.uniform(LEAD_S, end_s - window_s))):
            start_ns = round(at_s * 1e9)
            end_ns = start_ns + round(window_s * 1e9)
            pads = {"pad_s": PAD_S, "guard_s": GUARD_S} if place == "edges" else {}
            known_by = bisect_left(clocks, end_ns + round(GUARD_S * 1e9), key=lambda known: known[0])
            clock_s = clocks[min(known_by, len(clocks) - 1)][1].uncertainty_at_s(end_ns)
            try:
                energy = cut(samples, start_ns, end_ns, monitor.spec, clock_uncertainty_s=clock_s, **pads)
            except WindowTooShort:
                continue
            true_j = waveform.energy_j(start_ns, end_ns)
            points.append(Point(meter, load, place, window_s, energy.energy_j, true_j, energy.standard_uncertainty_j))
    return points


def record(
    monitor: PowerMonitor, far_end: FarEnd, end_ns: int, quick_ns: int, random: np.random.Generator
) -> tuple[Samples, list[tuple[int, ClockFit]]]:
    """Everything the monitor reads until the world's clock reaches `end_ns`; the reader comes back irregularly.

    With it what was known of the meter's clock when the trace had come so far, as a run takes it trial by trial.
    """
    monitor.open()
    try:
        monitor.start()
        far_end.walks = False
        parts = []
        clocks = []
        while far_end.now_ns < end_ns:
            step_ns = random.uniform(4e6, 40e6) if random.random() < 0.4 else quick_ns * random.uniform(1.0, 2.0)
            far_end.advance(round(step_ns))
            samples = monitor.read()
            if len(samples):
                parts.append(samples)
                clocks.append((int(samples.time_ns[-1]), monitor.clock))
    finally:
        monitor.close()
    return Samples.concatenate(parts), clocks


def measure(captures: int, seed: int) -> list[Point]:
    """The points of so many captures, shared by the meters in turn."""
    meters = list(METERS)
    with Nursery() as nursery, tempfile.TemporaryDirectory() as folder:
        return [
            point
            for number in range(captures)
            for point in capture(nursery, meters[number % len(meters)], number // len(meters), seed, Path(folder))
        ]
