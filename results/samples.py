"""Power samples on disk: Arrow IPC stream segments while a run grows, one Parquet file once it is complete.

Every batch belongs to one trial and holds what the monitor gave since the trial before it, so a trial's own samples
can be told from those of another even where the controller's clock began again (a reboot between start and resume).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from results.durable import StoreError

SCHEMA = pa.schema(
    [
        pa.field("trial", pa.int64(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("time_ns", pa.int64(), nullable=False),
        pa.field("channel", pa.uint8(), nullable=False),
        pa.field("power_w", pa.float64(), nullable=False),
        pa.field("voltage_v", pa.float64()),
        pa.field("current_a", pa.float64()),
    ]
)

ROWS_PER_GROUP = 1 << 17
"""rows of a Parquet row group: large enough to compress, small enough to find one trial without reading all"""


class SampleColumns(Protocol):
    """Readings of a monitor as columns of one length; `index` counts lost samples too."""

    @property
    def index(self) -> NDArray[np.int64]: ...
    @property
    def time_ns(self) -> NDArray[np.int64]: ...
    @property
    def channel(self) -> NDArray[np.uint8]: ...
    @property
    def power_w(self) -> NDArray[np.float64]: ...
    @property
    def voltage_v(self) -> NDArray[np.float64] | None: ...
    @property
    def current_a(self) -> NDArray[np.float64] | None: ...


def batch_of(trial: int, samples: SampleColumns) -> pa.RecordBatch:
    """One record batch with `SCHEMA`."""
    rows = len(samples.index)
    columns = [
        np.full(rows, trial, np.int64),
        *(samples.index, samples.time_ns, samples.channel, samples.power_w, samples.voltage_v, samples.current_a),
    ]
    arrays = [
        pa.nulls(rows, field.type) if column is None else pa.array(np.ascontiguousarray(column), field.type)
        for field, column in zip(SCHEMA, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def segments(folder: Path) -> list[Path]:
    """The stream segments of a run, oldest first; there is one for each start or resume that had samples."""
    return sorted(folder.glob("samples-*.arrows"))


def segment_path(folder: Path, number: int) -> Path:
    """Where the segment of that number lies."""
    return folder / f"samples-{number:04d}.arrows"


def batches(segment: Path) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Each whole batch of a segment with the file size at its end; stops at a torn tail."""
    with pa.OSFile(str(segment)) as file:
        try:
            reader = pa.ipc.open_stream(file)
            while True:
                batch = reader.read_next_batch()
                yield file.tell(), batch
        except (StopIteration, pa.ArrowInvalid):
            return
        except OSError as error:  # Arrow's own "expected more bytes" has no errno; a failing disk has
            if error.errno is not None:
                raise


def trial_of(batch: pa.RecordBatch) -> int:
    """The trial a batch belongs to."""
    return int(batch.column(0)[0].as_py())


def stored(folder: Path, trials: int) -> Iterator[pa.RecordBatch]:
    """The batches of the first `trials` trials in the segments, in order: one whose trial got no line is left out."""
    for segment in segments(folder):
        for _, batch in batches(segment):
            if trial_of(batch) < trials:
                yield batch


def every(folder: Path, trials: int) -> Iterator[pa.RecordBatch]:
    """The batches of the first `trials` trials in order, from the Parquet file or else the segments."""
    parquet = folder / "samples.parquet"
    if not parquet.exists():
        yield from stored(folder, trials)
    elif readable(parquet):
        yield from pq.ParquetFile(parquet).iter_batches()
    else:
        raise _damaged(parquet)


def _damaged(parquet: Path) -> StoreError:
    return StoreError(f"{parquet} is damaged: restore it from a copy; the trials themselves are in trials.jsonl.")


def write_parquet(path: Path, source: Iterator[pa.RecordBatch]) -> None:
    """Writes the batches as one zstd Parquet file, in row groups of about `ROWS_PER_GROUP`."""
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        held: list[pa.RecordBatch] = []
        rows = 0
        for batch in source:
            held.append(batch)
            rows += len(batch)
            if rows >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_batches(held))
                held, rows = [], 0
        writer.write_table(pa.Table.from_batches(held, SCHEMA))


def readable(parquet: Path) -> bool:
    """Whether the file is whole: Parquet's footer is written last."""
    try:
        pq.read_metadata(parquet)
    except pa.ArrowInvalid:
        return False
    return True


def select(folder: Path, trials: int, column: str, low: int, high: int) -> pa.Table:
    """The rows of the first `trials` trials with low <= column <= high, from the Parquet file or else the segments."""
    parquet = folder / "samples.parquet"
    rows: Any = (pc.field(column) >= low) & (pc.field(column) <= high)
    if not parquet.exists():
        return pa.Table.from_batches(stored(folder, trials), SCHEMA).filter(rows)
    if not readable(parquet):
        raise _damaged(parquet)
    return pq.read_table(parquet, filters=rows, schema=SCHEMA)
