"""A trace of an hour at 5 kHz: bytes a sample on disk, and the time to cut 10,000 windows out of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from bench.figure import Figure
from power import Channel, Kind, MonitorSpec, Samples, cut, cut_many
from results.samples import SCHEMA, batch_of, write_parquet

RATE_HZ, HOUR_S, WINDOWS, SEED = 5000, 3600, 10_000, 7
BATCH = 2500
"""samples of a batch, half a second's"""
LONGEST_S, ROUNDS, CUT_ONE_BY_ONE = 0.3, 5, 200
STEP_A, SUPPLY_V = 286e-6, 4.0
SPEC = MonitorSpec(
    name="a Monsoon",
    rate_hz=RATE_HZ,
    channels=(Channel("main", STEP_A * SUPPLY_V, 5.8e-3, 2.3e-3),),
    kind=Kind.AVERAGING,
    aperture_s=1 / RATE_HZ,
    shortest_window_s=25 / RATE_HZ,
)


def trace(seconds: int) -> Samples:
    """Bursts amid idle with a converter's noise and steps; a clock that is 20 ppm off."""
    random = np.random.default_rng(SEED)
    count = seconds * RATE_HZ
    index = np.arange(count, dtype=np.int64)
    busy = np.repeat(random.random(count // 500 + 1) < 0.4, 500)[:count]
    counts = np.where(busy, 5200, 2100) + random.integers(-3, 4, count)
    current_a = counts * STEP_A
    voltage_v = np.full(count, SUPPLY_V)
    time_ns = 1_000_000_000 + np.rint((index + 1) * (200_000 * (1 + 20e-6))).astype(np.int64)
    channel = np.zeros(count, np.uint8)
    return Samples(index, time_ns, channel, current_a * voltage_v, voltage_v, current_a)


def figures() -> Iterator[Figure]:
    """Of the trace as it grows, of the file it becomes, and of windows cut from it in memory."""
    samples = trace(HOUR_S)
    provenance = f"an hour of made-up samples at {RATE_HZ} Hz, one channel with voltage and current"
    growing, final = _bytes_a_sample(samples)
    yield Figure("trace: bytes a sample as it grows", growing, "B", "Arrow IPC stream", None, None, provenance)
    yield Figure("trace: bytes a sample when complete", final, "B", "Parquet, zstd", None, None, provenance)
    random = np.random.default_rng(SEED)
    first_ns, last_ns = int(samples.time_ns[0]), int(samples.time_ns[-1])
    starts = random.integers(first_ns + 10**9, last_ns - 2 * 10**9, WINDOWS)
    ends = starts + random.integers(10_000_000, round(LONGEST_S * 1e9), WINDOWS)
    times_s = []
    for _ in range(ROUNDS):
        begun_s = time.process_time()
        energy_j = cut_many(samples, starts, ends, SPEC)
        times_s.append(time.process_time() - begun_s)
    begun_s = time.process_time()
    some = zip(starts[:CUT_ONE_BY_ONE].tolist(), ends[:CUT_ONE_BY_ONE].tolist(), strict=True)
    alone = [cut(samples, start_ns, end_ns, SPEC).energy_j for start_ns, end_ns in some]
    one_s = (time.process_time() - begun_s) / CUT_ONE_BY_ONE
    if not np.allclose(energy_j[:CUT_ONE_BY_ONE], alone, rtol=1e-9):
        raise RuntimeError("many windows are not the same joules as one by one")
    yield Figure(
        name=f"trace: {WINDOWS} windows cut from an hour",
        value=median(times_s),
        unit="s",
        reference=f"cut, with its uncertainty: {one_s * WINDOWS:.1f} s",
        goal="< 0.2",
        holds=median(times_s) < 0.2,
        provenance=f"{provenance}; windows of 10 to {LONGEST_S * 1e3:g} ms, CPU time, median of {ROUNDS}",
    )


def _bytes_a_sample(samples: Samples) -> tuple[float, float]:
    batches = [batch_of(0, samples.take(slice(at, at + BATCH))) for at in range(0, len(samples), BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        growing, final = Path(folder) / "growing.arrows", Path(folder) / "final.parquet"
        with pa.OSFile(str(growing), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(batch)
        write_parquet(final, iter(batches))
        return growing.stat().st_size / len(samples), final.stat().st_size / len(samples)
