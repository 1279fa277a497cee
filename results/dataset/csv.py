"""A Parquet file of a dataset as CSV, row group by row group: one header line, null is empty, a list is JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq


def write_csv(parquet: Path, path: Path) -> None:
    """Memory stays that of one row group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetFile(parquet) as file:
        schema = pa.schema([pa.field(each.name, _plain(each.type)) for each in file.schema_arrow])
        with pa_csv.CSVWriter(path, schema) as writer:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                columns = [_column(rows[name], kind) for name, kind in zip(schema.names, schema.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def count_rows(path: Path) -> int:
    """Of a CSV that `write_csv` made. Raises `pyarrow.ArrowInvalid` where it is none."""
    with pa_csv.open_csv(path, parse_options=pa_csv.ParseOptions(newlines_in_values=True)) as reader:
        return sum(len(batch) for batch in reader)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) or pa.types.is_list(kind) else kind


def _column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_list(values.type):
        return pa.chunked_array([[None if each is None else json.dumps(each) for each in values.to_pylist()]], kind)
    return values.cast(kind)
