"""A trace for other programs: CSV for spreadsheets, and a Chrome trace for ui.perfetto.dev.

The Chrome trace is of the JSON object form of the Trace Event Format (Google, "Trace Event Format"): counter events
(`ph` C) for power, voltage, current and energy, instants (`ph` i) where a mark line changes or samples were lost,
metadata events (`ph` M) for names, and `otherData` for where it all comes from. Times are microseconds from the trace's
first sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter

from results.durable import write_whole
from results.trace import Trace, TraceHeader
from results.trace_events import Event, counter, instant, named, write_events

_QUANTITIES = (("power", "power_w", "W"), ("voltage", "voltage_v", "V"), ("current", "current_a", "A"))


def write_parquet(trace: Trace, path: Path) -> None:
    """As a finished recording is: what to do with the stream of one that broke off."""
    write_whole(path, lambda part: pq.write_table(trace.samples, part, compression="zstd"))


def write_csv(trace: Trace, path: Path) -> None:
    """One line a sample, with the channel's name besides its number; what is not measured is empty."""
    names = pa.array([channel.name for channel in trace.header.channels])
    table = trace.samples.append_column("channel_name", names.take(trace.samples["channel"].combine_chunks()))
    write_whole(path, lambda part: pa_csv.write_csv(table, part))


def write_perfetto(trace: Trace, path: Path) -> None:
    """JSON that ui.perfetto.dev and chrome://tracing open."""
    write_whole(path, lambda part: write_events(part, _about(trace.header), _events(trace)))


def _about(header: TraceHeader) -> dict[str, Any]:
    facts: dict[str, Any] = TypeAdapter(TraceHeader).dump_python(header, mode="json")
    return {**facts, "caution": header.caution}


def _events(trace: Trace) -> Iterator[Event]:
    yield named("process_name", _process_name(trace.header))
    if not len(trace.samples):
        return
    origin_ns = int(trace.samples["time_ns"].to_numpy().min())
    yield from chain.from_iterable(_channel_events(trace, number, origin_ns) for number in range(_channels(trace)))
    if _channels(trace) > 1:
        yield from counter("total power", "W", _us(trace.total, origin_ns), trace.total["power_w"].to_numpy())
    yield from counter("energy", "J", _us(trace.total, origin_ns), trace.energy_j())


def _channels(trace: Trace) -> int:
    return len(trace.header.channels)


def _process_name(header: TraceHeader) -> str:
    return header.monitor if header.caution is None else f"{header.monitor} ({header.caution})"


def _channel_events(trace: Trace, number: int, origin_ns: int) -> Iterator[Event]:
    name, samples = trace.header.channels[number].name, trace.channel(number)
    at_us = _us(samples, origin_ns)
    for quantity, column, unit in _QUANTITIES:
        if not samples[column].null_count:
            yield from counter(f"{name} {quantity}", unit, at_us, samples[column].to_numpy())
    if number == 0 and not samples["mark"].null_count:
        yield from _marks(trace.header.mark_lines, at_us, samples["mark"].to_numpy())
    lost = np.diff(samples["index"].to_numpy()) - 1
    for gap in np.flatnonzero(lost > 0).tolist():
        yield instant(f"{name}: {lost[gap]} samples lost", float(at_us[gap]))


def _marks(lines: int, at_us: NDArray[np.float64], mark: NDArray[np.uint8]) -> Iterator[Event]:
    for line in range(lines):
        level = (mark >> line & 1).astype(np.int8)
        for change in (np.flatnonzero(np.diff(level)) + 1).tolist():
            yield instant(f"mark {line} {'up' if level[change] else 'down'}", float(at_us[change]))


def _us(samples: pa.Table, origin_ns: int) -> NDArray[np.float64]:
    return np.asarray((samples["time_ns"].to_numpy() - origin_ns) / 1000.0)
