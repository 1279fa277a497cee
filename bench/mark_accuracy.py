"""How far marks lie from the samples they belong to, by each way of placing them: `python -m bench mark_accuracy`.

`python -m bench.mark_accuracy` prints the table; with `--write` it also leaves it in bench/mark_accuracy.json.

Emulated meters in virtual time, through the real drivers: their crystals drift, bytes come with USB's jitter, the
reader comes back irregularly. The board's clock drifts by 50 ppm and is known by round trips over a network of 0.2 to
1.2 ms each way. During a trial the load rises steeply and evenly, so that each sample's power tells where the trace has
a moment. The ways to place marks do not look at that, but at the marker wire, or at bursts whose edges take to 0.5 ms.
"""

from __future__ import annotations

import json
import math
import struct
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.captures import WAIT_S, record
from bench.far_end import FarEnd, Nursery
from bench.figure import Figure
from bench.waveform import Segment, Waveform
from power import BridgeInput, ClockFit, InaBridge, MonsoonInput, MonsoonLvpm, PowerMonitor, Samples, fit_round_trips
from testbed.line_marks import MarkerLine
from testbed.marks import Alignment, HostClocks
from testbed.pulse_marks import CODE, SyncPulse, chip_for

RUNS, SEED = 12, 1
"""of each meter"""
DRIFT = 50e-6
"""of the board's clock; half of the runs lose, half gain"""
METERS = ("monsoon-lvpm", "ina-bridge")
LIMITS_SAMPLES = {"line": 1.0, "pulse": 2.0}
BLOCKS, TRIALS = 2, 6
IDLE_W, BURST_W, LOW_W, HIGH_W = 5.0, 3.0, 5.0, 35.0
TOOTH_S, LOOK_S = 0.1, 0.03
"""a rise of the load from low to high, with a mark in its middle; how much of it on each side tells the truth"""
LEAD_S, REST_S = 1.2, 0.08
BEARABLE_S = 0.004
OUTPUT = Path(__file__).with_suffix(".json")
PROVENANCE = (
    f"virtual: emulated meters in virtual time, {RUNS} runs of {BLOCKS * TRIALS * 2} marks a meter, seed {SEED}"
)


@dataclass(frozen=True, slots=True)
class Placed:
    """One mark."""

    meter: str
    method: str
    error_samples: float
    """placed less true, in sample periods"""
    normalised_error: float
    """over the stated standard uncertainty"""


@dataclass(frozen=True, slots=True)
class Row:
    """One meter and method."""

    meter: str
    method: str
    marks: int
    bias_samples: float
    spread_samples: float
    worst_samples: float
    normalised_rms: float


class World:
    """What a run is made of: the load, the marker wire, the board's clock."""

    def __init__(self, random: np.random.Generator, gains: bool, chip: float) -> None:
        self._offset_ns = random.uniform(-1e10, 1e10)
        self._rate = 1.0 + (DRIFT if gains else -DRIFT)
        self._rise_s = random.uniform(0.0, 0.5e-3)
        self._segments: list[Segment] = []
        self._end_s = 0.0
        self.bursts_s: list[float] = []
        self.trials_s: list[list[tuple[float, float]]] = []
        """of each block, the true times of its trials' marks"""
        self._add(LEAD_S + random.uniform(0.0, 0.2), IDLE_W)
        for _ in range(BLOCKS):
            self._burst(chip, random)
            self.trials_s.append([self._trial(random) for _ in range(TRIALS)])
            self._burst(chip, random)
        self._add(0.3, IDLE_W)
        self.waveform = Waveform(self._segments)

    def board_ns(self, true_s: float) -> int:
        """A moment on the board's clock."""
        return round(true_s * 1e9 * self._rate + self._offset_ns)

    def write(self, supply: Path) -> None:
        """The supply file and, beside it, the marker wire's."""
        self.waveform.write(supply)
        edges = [
            (at_s, level)
            for block in self.trials_s
            for pair in block
            for at_s, level in zip(pair, (1.0, 0.0), strict=True)
        ]
        rows = [(0, 0.0, 0.0), *((round(at_s * 1e9), level, 0.0) for at_s, level in edges)]
        Path(f"{supply}.marker").write_bytes(b"".join(struct.pack("<qdd", *row) for row in rows))

    def _add(self, length_s: float, first_w: float, last_w: float | None = None) -> None:
        self._segments.append(Segment(length_s, first_w, first_w if last_w is None else last_w))
        self._end_s += length_s

    def _trial(self, random: np.random.Generator) -> tuple[float, float]:
        """Two teeth; the marks lie in their middles."""
        marks_s = []
        for _ in range(2):
            marks_s.append(self._end_s + TOOTH_S / 2 + random.uniform(-0.01, 0.01))
            self._add(TOOTH_S, LOW_W, HIGH_W)
        self._add(REST_S, IDLE_W)
        return marks_s[0], marks_s[1]

    def _burst(self, chip: float, random: np.random.Generator) -> None:
        """Its steps are exponential, in straight pieces."""
        self._add(REST_S + random.uniform(0.0, 0.01), IDLE_W)
        self.bursts_s.append(self._end_s)
        here_w = IDLE_W
        for goal_w in [*(IDLE_W + BURST_W * chip_on for chip_on in CODE), IDLE_W]:
            pieces = np.linspace(0.0, min(5.0 * self._rise_s, 0.9 * chip), 9)
            for start_s, end_s in pairwise(pieces.tolist()):
                after_w = goal_w + (here_w - goal_w) * math.exp(-(end_s - start_s) / max(self._rise_s, 1e-9))
                if end_s > start_s:
                    self._add(end_s - start_s, here_w, after_w)
                here_w = after_w
            self._add(chip - float(pieces[-1]), goal_w)
            here_w = goal_w
        self._add(REST_S, IDLE_W)


class Recorded:
    """A trace that was recorded, seen from a moment of the run. Implements `Trace`."""

    opened = 1

    def __init__(self, samples: Samples, clocks: Sequence[tuple[int, ClockFit]]) -> None:
        self._samples = samples
        self._clocks = clocks
        self.now_ns = 0

    @property
    def clock(self) -> ClockFit:
        known = bisect_right(self._clocks, self.now_ns, key=lambda clock: clock[0])
        return self._clocks[max(known - 1, 0)][1]

    def trace(self, start_ns: int, end_ns: int) -> Samples:
        self.now_ns = max(self.now_ns, end_ns)
        return self._samples.between(start_ns, end_ns)


class NetworkClock:
    """The board's clock as round trips tell it. Implements `Fitted`."""

    def __init__(self, world: World, random: np.random.Generator) -> None:
        self._world = world
        self._random = random
        self._trips: list[tuple[int, int, int, int]] = []
        self.fit: ClockFit

    def update(self, now_s: float) -> None:
        """Sixteen more."""
        for number in range(16):
            sent_s = now_s + number * 3e-3
            out_s, back_s = 0.2e-3 + self._random.exponential(0.2e-3, 2).clip(max=1e-3)
            at_ns = self._world.board_ns(sent_s + out_s)
            self._trips.append((round(sent_s * 1e9), at_ns, at_ns, round((sent_s + out_s + back_s) * 1e9)))
        self.fit = fit_round_trips(*np.array(self._trips, np.int64).T)


def _monitor(meter: str, far_end: FarEnd) -> PowerMonitor:
    port = far_end.port()
    if meter == "monsoon-lvpm":
        return MonsoonLvpm(port, [MonsoonInput("aux", 15.0)], wait_s=WAIT_S, clock=far_end.clock)
    wired = BridgeInput(sensor="ina226", shunt_ohm=0.02, supply_v=15.0)
    return InaBridge(port, wired, wait_s=WAIT_S, clock=far_end.clock)


def _far_end(nursery: Nursery, meter: str, supply: Path, seed: int, random: np.random.Generator) -> FarEnd:
    options: dict[str, Any] = {"supply": supply, "seed": seed, "drift-ppm": random.normal(0.0, 30.0)}
    if meter == "monsoon-lvpm":
        latency_ms, jitter_ms = np.clip(random.normal(0.5, 0.3), 0.0, 1.0), random.uniform(0.2, 2.0)
        options |= {"output": "aux", "output-voltage": 15.0, "latency-ms": latency_ms, "jitter-ms": jitter_ms}
        return nursery.meter("monsoon", options)
    latency_ms, jitter_ms = random.uniform(0.1, 0.6), random.uniform(0.1, 1.0)
    options |= {"sensor": "ina226@0x40", "shunt-ohm": 0.02, "supply-voltage": 15.0}
    return nursery.meter("bridge", options | {"latency-ms": latency_ms, "jitter-ms": jitter_ms})


def run(nursery: Nursery, meter: str, number: int, seed: int, folder: Path) -> list[Placed]:
    """One run with every way to place its marks."""
    random = np.random.default_rng((seed, METERS.index(meter), number))
    supply = folder / f"{meter}-{number}"
    supply.touch()
    with _far_end(nursery, meter, supply, number, random) as far_end:
        monitor = _monitor(meter, far_end)
        chip = chip_for(monitor.spec)
        world = World(random, number % 2 == 0, chip)
        world.write(supply)
        quick_ns = 2_000_000 if meter == "monsoon-lvpm" else 300_000
        samples, clocks = record(monitor, far_end, world.waveform.end_ns, quick_ns, random)
    trace = Recorded(samples, clocks)
    board = NetworkClock(world, random)
    bursts_s = iter(world.bursts_s)
    host = HostClocks(board, trace)
    ways: list[Alignment] = [
        MarkerLine(host, trace, monitor.spec, BEARABLE_S),
        SyncPulse(host, trace, monitor.spec, lambda *_: world.board_ns(next(bursts_s)), chip, BEARABLE_S),
        host,
    ]
    found: list[Placed] = []
    for number, block in enumerate(world.trials_s):
        board.update(world.bursts_s[2 * number] - 0.06)
        for way in ways:
            way.begin()
        for pair_s in block:
            marks_ns = [world.board_ns(at_s) for at_s in pair_s]
            trial = {"start_ns": marks_ns[0], "end_ns": marks_ns[1], "marked_ns": [(at, at) for at in marks_ns]}
            for way in ways:
                marks = way.place(trial)
                for at_s, placed_ns in zip(pair_s, (marks.start_ns, marks.end_ns), strict=True):
                    off_s = (placed_ns - _place(samples, world.waveform, monitor.spec.aperture_s, at_s)) * 1e-9
                    error = off_s / monitor.spec.period_s
                    found.append(Placed(meter, way.method, error, off_s / marks.standard_uncertainty_s))
        board.update(world.bursts_s[2 * number + 1] - 0.06)
        for way in ways:
            way.end()
    return found


def _place(samples: Samples, waveform: Waveform, aperture_s: float, at_s: float) -> float:
    """Where the trace has a moment in the middle of a tooth: when its samples show the power of that moment."""
    before_ns, after_ns = (round((at_s + sign * LOOK_S) * 1e9) for sign in (-1, 1))
    near = samples.between(before_ns, after_ns)
    since_s = (near.time_ns - before_ns) * 1e-9
    rate, level = np.polyfit(since_s, near.power_w, 1)
    width_ns = 1000
    middle_ns = round((at_s - aperture_s / 2) * 1e9)
    true_w = waveform.energy_j(middle_ns - width_ns, middle_ns + width_ns) / (2 * width_ns * 1e-9)
    return before_ns + (true_w - level) / rate * 1e9


def measure(runs: int, seed: int) -> list[Placed]:
    """The marks of so many runs of each meter, placed each way."""
    with Nursery() as nursery, tempfile.TemporaryDirectory() as folder:
        return [
            placed
            for number in range(runs)
            for meter in METERS
            for placed in run(nursery, meter, number, seed, Path(folder))
        ]


def table(marks: Iterable[Placed]) -> list[Row]:
    """Every meter and method."""
    classes: dict[tuple[str, str], list[Placed]] = {}
    for mark in marks:
        classes.setdefault((mark.meter, mark.method), []).append(mark)
    return [_row(*name, chosen) for name, chosen in sorted(classes.items())]


def _row(meter: str, method: str, chosen: Sequence[Placed]) -> Row:
    errors, normalised = np.array([(mark.error_samples, mark.normalised_error) for mark in chosen]).T
    return Row(
        meter=meter,
        method=method,
        marks=len(chosen),
        bias_samples=float(errors.mean()),
        spread_samples=float(errors.std()),
        worst_samples=float(np.abs(errors).max()),
        normalised_rms=float(np.sqrt(np.mean(normalised**2))),
    )


def figures() -> list[Figure]:
    """The worst mark of every meter and method."""
    found = []
    for row in table(measure(RUNS, SEED)):
        limit = LIMITS_SAMPLES.get(row.method)
        goal, holds = (None, None) if limit is None else (f"at most {limit:g}", row.worst_samples <= limit)
        name = f"worst mark, {row.meter}, {row.method}"
        found.append(Figure(name, row.worst_samples, "samples", None, goal, holds, PROVENANCE))
    return found


def as_json(rows: Iterable[Row]) -> Mapping[str, Any]:
    """The table with how it came about."""
    return {"provenance": PROVENANCE, "board_drift": DRIFT, "rows": [asdict(row) for row in rows]}


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    rows = table(measure(RUNS, SEED))
    print(f"{'meter':14}{'method':8}{'marks':>6}{'bias':>8}{'spread':>8}{'worst':>8}{'rms error/u':>13}   (in samples)")
    for row in rows:
        print(
            f"{row.meter:14}{row.method:8}{row.marks:6d}{row.bias_samples:8.2f}{row.spread_samples:8.2f}"
            f"{row.worst_samples:8.2f}{row.normalised_rms:13.2f}"
        )
    if "--write" in arguments:
        OUTPUT.write_text(json.dumps(as_json(rows), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
