"""What a column is: its name, type, unit and meaning, and where its value comes from. The one source of all that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa

NAME = pa.dictionary(pa.int32(), pa.string())
"""few different words, such as a policy; a dictionary, which is what readers make of the names of folders too"""
TEXT, REAL, COUNT, TIME, FLAG = pa.string(), pa.float64(), pa.int64(), pa.int64(), pa.bool_()
REALS, TEXTS, COUNTS = (pa.list_(pa.field("element", kind)) for kind in (REAL, TEXT, COUNT))

UNITS = frozenset({"1", "s", "ns", "J", "W", "V", "A", "Hz", "bit/s", "dBm", "degC", "B", "s/s", "MAC"})
"""SI, with dBm for signals and degrees Celsius for temperatures; "1": a number of, or a fraction"""

Source = TypeVar("Source")


@dataclass(frozen=True, slots=True)
class Column(Generic[Source]):
    """One column of a table, whose rows are made of a `Source`."""

    name: str
    kind: pa.DataType
    unit: str
    """of `UNITS`; empty for what has none, such as a name"""
    says: str
    of: Callable[[Source], Any]
    nullable: bool = False

    def __post_init__(self) -> None:
        if self.unit and self.unit not in UNITS:
            raise ValueError(f"column {self.name}: {self.unit} is no unit of a dataset")

    def field(self) -> pa.Field:
        """For a Parquet schema, with the unit and the meaning beside it."""
        about = {"unit": self.unit, "description": self.says}
        return pa.field(self.name, self.kind, self.nullable, about)


@dataclass(frozen=True, slots=True)
class Table(Generic[Source]):
    """A table of a dataset."""

    name: str
    says: str
    """what a row is"""
    key: tuple[str, ...]
    """columns that together tell a row from all others"""
    columns: tuple[Column[Source], ...]

    @property
    def schema(self) -> pa.Schema:
        """Of its Parquet files."""
        return pa.schema([column.field() for column in self.columns])

    def batch(self, rows: Sequence[Source]) -> pa.Table:
        """The rows as Arrow columns."""
        arrays = [pa.array([column.of(row) for row in rows], column.kind) for column in self.columns]
        return pa.Table.from_arrays(arrays, schema=self.schema)
