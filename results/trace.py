"""A power trace as a file of its own: what a monitor read, from when to when, and all that is needed to read it.

While it is recorded it is an Arrow IPC stream (`.arrows`) that grows by whole batches, so a crash or a full disk costs
only what was not yet appended. Finished, it is a Parquet file (`.parquet`) of the same columns. Either carries a
`TraceHeader` as JSON in its schema's metadata, under the key `trace`, and either is read by `Trace.read`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass as plain_dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from results.durable import AppendFile, StoreError, write_whole
from results.records import STRICT, VIRTUAL_LABEL, CalibrationFacts, Facts
from results.samples import ROWS_PER_GROUP, SampleColumns, batches

TRACE_VERSION = 1
_KEY = b"trace"
_COLUMNS = (
    pa.field("index", pa.int64(), nullable=False),
    pa.field("time_ns", pa.int64(), nullable=False),
    pa.field("channel", pa.uint8(), nullable=False),
    pa.field("power_w", pa.float64(), nullable=False),
    pa.field("voltage_v", pa.float64()),
    pa.field("current_a", pa.float64()),
    pa.field("mark", pa.uint8()),
)


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class TraceChannel:
    """One input of the monitor. Standard uncertainties, k = 1."""

    name: str
    power_lsb_w: float
    gain_standard_uncertainty: float
    """relative"""
    offset_standard_uncertainty_w: float


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class TraceHeader:
    """What a trace's numbers mean."""

    format_version: int = TRACE_VERSION
    created: str
    """ISO 8601, with its offset from UTC, at `created_ns` of the samples' clock"""
    created_ns: int
    monitor: str
    """kind and place"""
    specimen: Facts
    """serial number and firmware, where the meter tells them"""
    rate_hz: float
    aperture_s: float
    """the time a sample averages over, which ends at its time_ns"""
    channels: tuple[TraceChannel, ...]
    """numbered as in the column `channel`"""
    total: tuple[int, ...]
    """the channels whose sum is what the board draws"""
    mark_lines: int
    """bits of the column `mark`: the level of that input line"""
    clock_standard_uncertainty_s: float
    """of time_ns against CLOCK_MONOTONIC of the recording host"""
    calibrations: tuple[CalibrationFacts, ...]
    """of this specimen, by which the readings are corrected"""
    bench: Facts
    """as resolved: every default filled in"""
    versions: dict[str, str]
    provenance: str
    """"virtual" as soon as any part of the bench is simulated, else "measured\""""

    @property
    def caution(self) -> str | None:
        """The label that goes with every figure of it; None when it was measured."""
        return None if self.provenance == "measured" else VIRTUAL_LABEL


class TraceColumns(SampleColumns, Protocol):
    """Readings as columns of one length, with the level of the mark lines where there are any."""

    @property
    def mark(self) -> NDArray[np.uint8] | None: ...


class TraceWriter:
    """A trace being recorded to `path`, a `.parquet`; until `finish` it grows beside it as `.arrows`.

    A context manager: leaving it closes the file. Raises `StoreError` where a file of that name exists, and `StoreFull`
    when the disk is full: what was appended before is safe.
    """

    def __init__(self, path: Path, header: TraceHeader) -> None:
        self.path = path
        self.growing = path.with_suffix(".arrows")
        for taken in (self.path, self.growing):
            if taken.exists():
                raise StoreError(f"{taken} exists already: choose another name for the trace.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = _schema(header)
        self._file = AppendFile(self.growing)
        self._file.append(self._schema.serialize().to_pybytes())

    def append(self, samples: TraceColumns) -> None:
        """On the disk when it returns, or without a trace."""
        names = ("index", "time_ns", "channel", "power_w", "voltage_v", "current_a", "mark")
        rows = len(samples.index)
        columns = [getattr(samples, name) for name in names]
        arrays = [
            pa.nulls(rows, field.type) if column is None else pa.array(np.ascontiguousarray(column), field.type)
            for field, column in zip(self._schema, columns, strict=True)
        ]
        self._file.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema).serialize().to_pybytes())

    def finish(self) -> None:
        """Pack what was recorded into the Parquet file; the stream then goes."""
        self.close()
        write_whole(self.path, lambda part: _write_parquet(part, self._schema, batches(self.growing)))
        self.growing.unlink()

    def close(self) -> None:
        """Always safe, twice too."""
        self._file.close()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@plain_dataclass(frozen=True)
class Trace:
    """A recorded trace, whole or broken off, in memory."""

    path: Path
    header: TraceHeader
    samples: pa.Table
    """columns index, time_ns, channel, power_w, voltage_v, current_a, mark; the last three null where not measured"""

    @classmethod
    def read(cls, path: Path) -> Trace:
        """A `.parquet`, or the `.arrows` of a recording that is under way or broke off (its torn tail is left out).

        Raises `StoreError` for anything else.
        """
        try:
            if path.suffix == ".arrows":
                with pa.OSFile(str(path)) as file:
                    schema = pa.ipc.open_stream(file).schema
                header = _header(path, schema)
                return cls(path, header, pa.Table.from_batches((batch for _, batch in batches(path)), schema))
            header = _header(path, pq.read_schema(path))
            return cls(path, header, pq.read_table(path))
        except (FileNotFoundError, IsADirectoryError):
            raise StoreError(f"there is no trace {path}: give a file that `testbed monitor record` made.") from None
        except pa.ArrowInvalid:
            raise StoreError(
                f"{path} is no trace, or is damaged: give the .parquet or .arrows of a recording."
            ) from None

    def channel(self, number: int) -> pa.Table:
        """The samples of one channel."""
        return self.samples.filter(pc.field("channel") == number)

    @cached_property
    def total(self) -> pa.Table:
        """What the board draws: columns index, time_ns, power_w. A reading that lacks a channel counts as lost."""
        chosen = self.samples.filter(pc.field("channel").isin(self.header.total))
        rows = chosen.group_by("index").aggregate([("time_ns", "max"), ("power_w", "sum"), ("power_w", "count")])
        rows = rows.filter(pc.field("power_w_count") == len(self.header.total)).sort_by("index")
        return rows.select(["index", "time_ns_max", "power_w_sum"]).rename_columns(["index", "time_ns", "power_w"])

    def energy_j(self) -> NDArray[np.float64]:
        """Energy of the total from its first sample to each of its samples, (n,); lost ones are bridged linearly."""
        power_w, time_ns = self.total["power_w"].to_numpy(), self.total["time_ns"].to_numpy()
        steps_j = (power_w[1:] + power_w[:-1]) / 2 * np.diff(time_ns) * 1e-9
        return np.concatenate(([0.0], np.cumsum(steps_j)))[: len(power_w)]


def _schema(header: TraceHeader) -> pa.Schema:
    return pa.schema(_COLUMNS, metadata={_KEY: TypeAdapter(TraceHeader).dump_json(header)})


def _header(path: Path, schema: pa.Schema) -> TraceHeader:
    text = (schema.metadata or {}).get(_KEY)
    if text is None:
        raise StoreError(f"{path} is no trace: it lacks the header; give a file that `testbed monitor record` made.")
    try:
        header = TypeAdapter(TraceHeader).validate_json(text)
    except ValidationError as error:
        raise StoreError(
            f"{path} was written by another version of this program: {error.errors()[0]['msg']}."
        ) from None
    if header.format_version != TRACE_VERSION:
        raise StoreError(f"{path} has trace format {header.format_version}, this program reads {TRACE_VERSION}.")
    return header


def _write_parquet(path: Path, schema: pa.Schema, source: Iterator[tuple[int, pa.RecordBatch]]) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _grouped(batch for _, batch in source):
            writer.write_table(pa.Table.from_batches(group, schema))


def _grouped(source: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    held: list[pa.RecordBatch] = []
    for batch in source:
        held.append(batch)
        if sum(map(len, held)) >= ROWS_PER_GROUP:
            yield held
            held = []
    yield held
