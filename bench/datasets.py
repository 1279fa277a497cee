"""Datasets: how fast and how large they are written, in what memory, and how soon a window of a long trace is found.

The window is looked for in 1/30 of an hour of a meter of 4 channels at 5 kHz: 2.4 of 72 million rows. A Parquet file is
entered at the right row group whatever its length; what CSV takes grows with the trace.
"""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from bench.figure import Figure
from results import (
    ActionRecord,
    ConditionRecord,
    EnergyRecord,
    MeterRecord,
    NetworkRecord,
    RunHeader,
    TrialRecord,
    samples,
)
from results.dataset import About, DatasetFacts, export
from results.records import Facts, to_json

RATE_HZ, CHANNELS, TRACE_S = 5000, 4, 120
SCALE = f"{TRACE_S} s of an hour, {RATE_HZ / 1000:g} kHz x {CHANNELS}"
WINDOW_S = 0.1
QUERIES, QUERIES_OF_CSV = 9, 3
TRIALS = 12_000
GROWTH = (4_000, 16_000)
"""trials of two runs whose peak memory is compared"""
LSB_W = 0.000375 * 15
NS = 1_000_000_000


def figures() -> Iterator[Figure]:
    """Each on its own data, made with a seed."""
    with TemporaryDirectory(prefix="testbed-bench-") as folder:
        yield from _trials(Path(folder))
        yield _memory(Path(folder))
        facts, dataset, seconds = _exported(_run_with_trace(Path(folder) / "trace"), Path(folder) / "long")
        yield from _samples(facts, dataset, seconds)
        yield from _windows(dataset, Path(folder))


def _trials(folder: Path) -> Iterator[Figure]:
    facts, dataset, seconds = _exported(_run(folder / "trials", TRIALS), folder / "many")
    how = f"{TRIALS} trials of 8 inferences with a link, no samples; checksums and descriptions included"
    yield Figure("export of trials", TRIALS / seconds, "trials/s", None, None, None, how)
    size = sum((dataset / path).stat().st_size for path, file in facts.files.items() if file.table == "trials")
    line = (folder / "trials" / "trials.jsonl").stat().st_size / TRIALS
    yield Figure("size of a trial", size / TRIALS, "B", f"{line:.0f} B as a line of JSON", None, None, how)


_PEAK = """
import resource, sys
from pathlib import Path
from results.dataset import About, export
export([Path(sys.argv[1])], Path(sys.argv[2]), About("bench"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def _memory(folder: Path) -> Figure:
    peaks = []
    for count in GROWTH:
        run = _run(folder / f"growth-{count}", count)
        command = [sys.executable, "-c", _PEAK, str(run), str(folder / f"grown-{count}")]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    growth = (peaks[1] - peaks[0]) / (GROWTH[1] - GROWTH[0])
    how = f"peak memory of an export of {GROWTH[1]} trials less that of {GROWTH[0]}, over their difference"
    beside = f"{peaks[1] / 1e6:.0f} MB at {GROWTH[1]} trials"
    return Figure("memory of a further trial", growth, "B", beside, "< 1000", growth < 1000, how)


def _samples(facts: DatasetFacts, dataset: Path, seconds: float) -> Iterator[Figure]:
    rows = facts.rows("samples")
    how = f"{SCALE}: noise of 40 LSB, voltage beside power; checksums and descriptions included"
    yield Figure("export of samples", rows / seconds, "samples/s", None, None, None, how)
    size = sum((dataset / path).stat().st_size for path, file in facts.files.items() if file.table == "samples")
    in_memory = sum(field.type.bit_width for field in samples.SCHEMA)
    yield Figure("size of a sample", size / rows, "B", f"{in_memory // 8} B in memory", None, None, how)


def _windows(dataset: Path, folder: Path) -> Iterator[Figure]:
    parquet, csv, database = f"{dataset}/samples/**/*.parquet", folder / "trace.csv", folder / "trace.sqlite"
    rows = duckdb.sql(f"SELECT time_ns, channel, power_w FROM '{parquet}' ORDER BY time_ns, channel").to_arrow_table()
    pa_csv.write_csv(rows, csv)
    with closing(sqlite3.connect(database)) as db:
        db.execute("CREATE TABLE samples (time_ns INTEGER, channel INTEGER, power_w REAL)")
        for batch in rows.to_batches():
            columns = (column.to_pylist() for column in batch.columns)
            db.executemany("INSERT INTO samples VALUES (?, ?, ?)", zip(*columns, strict=True))
        db.execute("CREATE INDEX by_time ON samples (time_ns)")
        db.commit()

        def of_csv(start_ns: int, end_ns: int) -> int:
            table = pd.read_csv(csv)
            return int(table["time_ns"].between(start_ns, end_ns).sum())

        def of_sqlite(start_ns: int, end_ns: int) -> int:
            query = "SELECT power_w, channel FROM samples WHERE time_ns BETWEEN ? AND ?"
            return len(db.execute(query, (start_ns, end_ns)).fetchall())

        def of_dataset(start_ns: int, end_ns: int) -> int:
            query = f"SELECT power_w, channel FROM '{parquet}' WHERE time_ns BETWEEN {start_ns} AND {end_ns}"
            return len(duckdb.sql(query).fetchall())

        own, sql = _milliseconds(of_dataset, QUERIES), _milliseconds(of_sqlite, QUERIES)
    text = _milliseconds(of_csv, QUERIES_OF_CSV)
    how = f"median; {WINDOW_S * 1e3:g} ms of {SCALE}, DuckDB on the dataset's Parquet"
    sizes = [f"{name} {file.stat().st_size / len(rows):.0f} B" for name, file in (("SQLite", database), ("CSV", csv))]
    beside = f"SQLite with an index {sql:.3g} ms, CSV with pandas {text:.4g} ms"
    yield Figure("window of a trace", own, "ms", beside, None, None, f"{how}; a sample takes {', '.join(sizes)}")


def _milliseconds(query: Callable[[int, int], int], times: int) -> float:
    found = []
    for start_s in np.random.default_rng(3).uniform(1, TRACE_S - 1, times):
        start_ns = int(start_s * NS)
        before = time.perf_counter()
        rows = query(start_ns, start_ns + int(WINDOW_S * NS))
        found.append(1e3 * (time.perf_counter() - before))
        assert abs(rows - WINDOW_S * RATE_HZ * CHANNELS) <= CHANNELS
    return statistics.median(found)


def _exported(run: Path, to: Path) -> tuple[DatasetFacts, Path, float]:
    before = time.perf_counter()
    facts = export([run], to, About("bench"))
    return facts, to, time.perf_counter() - before


def _run_with_trace(path: Path) -> Path:
    """A trial a second, its samples with it."""
    _run(path, TRACE_S)
    rng = np.random.default_rng(2)

    def batches() -> Iterator[pa.RecordBatch]:
        each = RATE_HZ * CHANNELS
        for trial in range(TRACE_S):
            index = np.repeat(np.arange(RATE_HZ, dtype=np.int64) + trial * RATE_HZ, CHANNELS)
            power = LSB_W * np.round(900 + 40 * rng.standard_normal(each))
            columns = [
                np.full(each, trial, np.int64),
                index,
                index * (NS // RATE_HZ) + rng.integers(0, 200, RATE_HZ).repeat(CHANNELS),
                np.tile(np.arange(CHANNELS, dtype=np.uint8), RATE_HZ),
                power,
                15 + 0.00125 * np.round(3 * rng.standard_normal(each)),
            ]
            arrays = [*map(pa.array, columns), pa.nulls(each, pa.float64())]
            yield pa.RecordBatch.from_arrays(arrays, schema=samples.SCHEMA)

    samples.write_parquet(path / "samples.parquet", batches())
    return path


def _run(path: Path, trials: int) -> Path:
    """A run folder as the store leaves it, written without its fsync for every trial."""
    path.mkdir()
    (path / "run.json").write_text(to_json(_header()))
    (path / "plan.jsonl").write_text("{}\n" * trials)
    (path / "complete.json").write_text("{}")
    rng = np.random.default_rng(1)
    with (path / "trials.jsonl").open("w") as lines:
        for index in range(trials):
            lines.write(to_json(_trial(index, rng)) + "\n")
    return path


def _header() -> RunHeader:
    network = NetworkRecord(
        name="mobilenet-v2",
        conv_layers=52,
        fc_layers=1,
        rc_layers=0,
        macs=300_000_000,
        input_bytes=602_112,
        accuracy={"fp32": 0.72},
        sha256={"fp32": "0" * 64},
    )
    channels = tuple(f"rail-{number}" for number in range(CHANNELS))
    return RunHeader(
        created="2026-01-01T00:00:00+00:00",
        bench={"name": "bench", "board": {"kind": "virtual", "profile": "jetson-agx-orin"}},
        suite={"name": "suite"},
        networks={"photo": network},
        meter=MeterRecord(rate_hz=RATE_HZ, aperture_s=1 / RATE_HZ, channels=channels, total=tuple(range(CHANNELS))),
        seed=1,
        versions={},
        engines={},
        host={"machine": "x86_64", "system": "Linux-6.1", "node": "bench"},
        provenance="virtual",
        labels=(),
        calibrations=(),
    )


def _trial(index: int, rng: np.random.Generator) -> TrialRecord:
    energy_j = float(rng.normal(0.02, 0.001))
    link: Facts = {"rssi_dbm": -58.0, "rate_up_bps": 4.9e7, "rate_down_bps": 4.9e7, "delay_s": 0.003, "loss": 0.0}
    causes = ("sampling", "edges", "clock", "gain", "offset", "quantisation", "missing", "baseline")
    return TrialRecord(
        index=index,
        block=index // 50,
        kind="trial",
        workload="photo",
        environment=f"S{1 + index // 50 % 5}",
        policy=("edge-cpu-fp32", "autoscale", "opt")[index % 3],
        state={"co_cpu": 0.0, "co_memory": 0.0, "rssi_dbm": -58.0, "peer_rssi_dbm": -58.0},
        action=ActionRecord(target="gpu", precision="fp16", frequency_hz=6.12e8),
        explored=False,
        n=8,
        latencies_s=tuple(rng.normal(0.012, 0.0004, 8).tolist()),
        transmit_s=0.0,
        receive_s=0.0,
        compute_s=0.09,
        qos_s=0.05,
        qos_met=8,
        accuracy=0.72,
        accuracy_target=0.7,
        start_ns=index * NS,
        end_ns=index * NS + NS // 10,
        energy=EnergyRecord(
            energy_j=energy_j,
            standard_uncertainty_j=float(rng.uniform(1e-4, 2e-4)),
            budget_j={cause: float(rng.uniform(0, 1e-4)) for cause in causes},
            window_energy_j=8.2 * energy_j,
            idle_subtracted_j=0.3 * energy_j,
            idle_subtracted_standard_uncertainty_j=float(rng.uniform(1e-4, 2e-4)),
            frame_energy_j=None,
            present=1.0,
            window_s=0.1,
            mean_power_w=82 * energy_j,
            peak_power_w=100 * energy_j,
            baseline_power_w=float(rng.normal(13, 0.01)),
        ),
        estimated_energy_j=1.02 * energy_j,
        learnt=None,
        reward=None,
        opt=None,
        truth_energy_j=1.001 * energy_j,
        radio_penalty_j=None,
        condition=ConditionRecord(
            asked={"co_runner": {"cpu": 0.0, "memory": 0.0}, "link": link, "peer_link": link},
            applied={"co_runner": {"cpu": 0.0, "memory": 0.0}, "link": link, "peer_link": link},
            observed={"rssi_dbm": -57.0},
            strayed=(),
        ),
        observed={"frequency_hz": 6.12e8, "temperature_c": 39.5, "throttled": False, "rssi_dbm": -57.0},
        clock=None,
        outcome="ok",
        note="",
    )
