"""Whether the energies of a dataset lie within its traces: each window's joules summed again from the samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from results.dataset.folder import DatasetFacts
from results.dataset.tables import RUNS, SAMPLES
from results.dataset.trials import TRIALS

COVERAGE_FACTOR = 6.0
"""standard uncertainties that the two sums may lie apart, beside what the window's edges may cut off of a sample"""
_WANTED = ["trial", "n", "start_ns", "end_ns", "window_energy_j", "energy_standard_uncertainty_j"]


@dataclass(frozen=True, slots=True)
class _Trace:
    """The samples of one trial."""

    index: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    channel: NDArray[np.uint8]
    power_w: NDArray[np.float64]

    def total(self, channels: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Time and power of the sum of some channels; a reading that lacks one of them counts as lost."""
        if len(channels) == 1:
            own = self.channel == channels[0]
            return self.time_ns[own], self.power_w[own]
        own = np.isin(self.channel, channels)
        numbers, place, count = np.unique(self.index[own], return_inverse=True, return_counts=True)
        power_w = np.bincount(place, self.power_w[own], len(numbers))
        time_ns = np.zeros(len(numbers), np.int64)
        np.maximum.at(time_ns, place, self.time_ns[own])
        whole = count == len(channels)
        return time_ns[whole], power_w[whole]


def strange_energies(folder: Path, facts: DatasetFacts, sound: list[str]) -> Iterator[str]:
    """A complaint for each trial whose energy is not that of its trace; only files in `sound` are opened."""
    runs = {
        row["run"]: row for path in _paths(facts, sound, RUNS.name) for row in pq.read_table(folder / path).to_pylist()
    }
    for run, row in runs.items():
        if row["meter_total"] is None:
            continue
        here = f"/run={run}/"
        trials = _rows(folder, [path for path in _paths(facts, sound, TRIALS.name) if here in path])
        traces = _traces(folder, [path for path in _paths(facts, sound, SAMPLES.name) if here in path])
        at, trace = next(traces, (None, None))
        for trial in trials:
            while at is not None and at < trial["trial"]:
                at, trace = next(traces, (None, None))
            if trial["window_energy_j"] is None:
                continue
            if at != trial["trial"] or trace is None:
                yield f"{run}, trial {trial['trial']}: it has an energy and no samples"
            elif reason := _strange(trial, *trace.total(tuple(row["meter_total"]))):
                yield f"{run}, trial {trial['trial']}: {reason}"


def _strange(trial: dict[str, Any], time_ns: NDArray[np.int64], power_w: NDArray[np.float64]) -> str | None:
    start_ns, end_ns = trial["start_ns"], trial["end_ns"]
    if len(time_ns) < 2 or time_ns[0] > start_ns or time_ns[-1] < end_ns:
        return "its window lies outside of its samples"
    steps_ns = np.diff(time_ns, prepend=2 * time_ns[0] - time_ns[1])
    longest_ns = int(steps_ns.max())
    within_ns = np.diff(np.clip(np.concatenate(([time_ns[0] - steps_ns[0]], time_ns)), start_ns, end_ns))
    summed_j = float((power_w * within_ns).sum()) * 1e-9
    near = power_w[(time_ns > start_ns - longest_ns) & (time_ns < end_ns + 2 * longest_ns)]
    edge_j = float(near.max() - near.min()) * longest_ns * 1e-9
    uncertainty_j = trial["energy_standard_uncertainty_j"] * trial["n"]
    apart_j = abs(summed_j - trial["window_energy_j"])
    if apart_j > COVERAGE_FACTOR * uncertainty_j + edge_j:
        return f"window_energy_j is {trial['window_energy_j']:.4g} J, its samples sum to {summed_j:.4g} J"
    return None


def _paths(facts: DatasetFacts, sound: list[str], table: str) -> list[str]:
    return sorted(path for path in sound if facts.files[path].table == table)


def _rows(folder: Path, paths: list[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        with pq.ParquetFile(folder / path) as file:
            for batch in file.iter_batches(columns=_WANTED):
                yield from batch.to_pylist()


def _traces(folder: Path, paths: list[str]) -> Iterator[tuple[int, _Trace]]:
    """Trial by trial; what is held is one trial's samples and a batch."""
    held: list[pa.RecordBatch] = []
    for path in paths:
        with pq.ParquetFile(folder / path) as file:
            for batch in file.iter_batches(columns=["trial", "index", "time_ns", "channel", "power_w"]):
                numbers = batch.column("trial").to_numpy()
                cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
                for low, high in pairwise(cuts):
                    if held and held[0].column("trial")[0].as_py() != int(numbers[low]):
                        yield _joined(held)
                        held = []
                    held.append(batch.slice(low, high - low))
    if held:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> tuple[int, _Trace]:
    table = pa.Table.from_batches(batches)
    columns = (table[name].to_numpy() for name in ("index", "time_ns", "channel", "power_w"))
    return int(table["trial"][0].as_py()), _Trace(*columns)
