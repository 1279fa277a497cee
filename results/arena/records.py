"""Records of an arena: a header, and for each course (one policy, one board, one seed) a Parquet file of its cells.

arena.json              how the experiment came to be
courses/<course>.parquet  one row a cell, its trials in lists; a file is there whole or not at all

Energies of `chosen` and `opt` are true means per inference: of the law on a virtual board, of all recorded trials in a
replay. `energy_j` is what the very inference took.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as strict

from results.durable import StoreError, write_whole
from results.records import STRICT, Facts

FORMAT_VERSION = 1
SIMULATED = "in simulation: a virtual board, no measurement of hardware"

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


@strict(frozen=True, kw_only=True, slots=True, config=STRICT)
class ArenaHeader:
    """How an arena came to be; written before its first course."""

    format_version: int = FORMAT_VERSION
    created: str
    """ISO 8601, with its offset from UTC"""
    experiment: Facts
    """as resolved: every default filled in"""
    versions: dict[str, str]
    host: Facts
    provenance: dict[str, str]
    """board -> "virtual", or in words what is played again"""
    actions: dict[str, list[str]]
    """board -> its actions, in the order of the indices in the records"""
    notes: dict[str, list[str]]
    """board -> what a reader must know of it: trials dropped, cells without data"""

    def caution(self, boards: Iterable[str]) -> str:
        """What goes with every figure of these boards."""
        kinds = dict.fromkeys(self.provenance[board] for board in boards)
        return "; ".join(SIMULATED if kind == "virtual" else kind for kind in kinds)


@dataclass(frozen=True, slots=True, eq=False)
class CellRecord:
    """One policy in one cell under one seed; arrays of shape (trials,)."""

    board: str
    workload: str
    environment: str
    """or the name of a drift"""
    policy: str
    seed: int
    shift: int | None
    """trial at which a drift begins"""
    trained: int
    """inferences the policy lived through before the cell"""
    chosen: Indices
    """the chosen action, as an index into the board's actions"""
    opt: Indices
    """Opt's action"""
    energy_j: Numbers
    chosen_energy_j: Numbers
    opt_energy_j: Numbers
    missed: Flags
    """QoS, by this very inference"""
    accurate: Flags
    """the answer came, and was as accurate as asked"""
    feasible: Flags
    """some action meets QoS and accuracy"""
    met: Flags
    """the chosen one does, by its true means"""
    explored: Flags
    """chosen to learn, not because it seemed best"""


_SCALARS = {"board": pa.string(), "workload": pa.string(), "environment": pa.string(), "policy": pa.string()}
_SCALARS |= {"seed": pa.int32(), "shift": pa.int32(), "trained": pa.int32()}
_LISTS = {"chosen": pa.int16(), "opt": pa.int16()}
_LISTS |= dict.fromkeys(("energy_j", "chosen_energy_j", "opt_energy_j"), pa.float64())
_LISTS |= dict.fromkeys(("missed", "accurate", "feasible", "met", "explored"), pa.bool_())
SCHEMA = pa.schema([*_SCALARS.items(), *((name, pa.list_(kind)) for name, kind in _LISTS.items())])


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cell records side by side: names and numbers of shape (cells,), the rest (cells, trials)."""

    board: NDArray[np.str_]
    workload: NDArray[np.str_]
    environment: NDArray[np.str_]
    policy: NDArray[np.str_]
    seed: Indices
    shift: Indices
    """-1 where nothing shifts"""
    trained: Indices
    chosen: Indices
    opt: Indices
    energy_j: Numbers
    chosen_energy_j: Numbers
    opt_energy_j: Numbers
    missed: Flags
    accurate: Flags
    feasible: Flags
    met: Flags
    explored: Flags

    def __len__(self) -> int:
        return len(self.seed)

    def take(self, rows: Flags | Indices | slice, trials: slice = slice(None)) -> Cells:
        """Some cells, and some trials of them."""
        parts = {field.name: getattr(self, field.name)[rows] for field in fields(self)}
        return Cells(**{name: part[:, trials] if part.ndim == 2 else part for name, part in parts.items()})


@dataclass(frozen=True, slots=True)
class ArenaRecords:
    """All that is durable of an arena."""

    path: Path
    header: ArenaHeader
    cells: Cells


def write_header(folder: Path, header: ArenaHeader) -> None:
    """Makes the folder an arena's."""
    (folder / "courses").mkdir(parents=True, exist_ok=True)
    text = json.dumps({field.name: getattr(header, field.name) for field in fields(header)}, indent=1)
    write_whole(folder / "arena.json", lambda part: _write_text(part, text))


def read_header(folder: Path) -> ArenaHeader:
    """Raises StoreError when the folder is no arena's, or of another format."""
    file = folder / "arena.json"
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder} is no arena: it has no arena.json") from None
    except ValueError as error:
        raise StoreError(f"{file} is damaged: {error}") from None
    version = found.get("format_version") if isinstance(found, dict) else None
    if version != FORMAT_VERSION:
        raise StoreError(f"{folder} has arena format {version}, this program reads {FORMAT_VERSION}")
    try:
        return ArenaHeader(**found)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{file} is damaged: {error}") from None


def course_file(folder: Path, course: str) -> Path:
    """Where a course's cells are kept."""
    return folder / "courses" / f"{course}.parquet"


def write_course(folder: Path, course: str, cells: Sequence[CellRecord]) -> None:
    """Make a course durable, whole or not at all."""
    columns: dict[str, list[Any]] = {name: [getattr(cell, name) for cell in cells] for name in (*_SCALARS, *_LISTS)}
    table = pa.table(columns, schema=SCHEMA)
    write_whole(course_file(folder, course), lambda part: pq.write_table(table, part, compression="zstd"))


def read_records(folder: Path) -> ArenaRecords:
    """Every course that is done. Raises StoreError for a folder that is no arena's, has none, or a damaged one."""
    header = read_header(folder)
    tables = []
    for file in sorted((folder / "courses").glob("*.parquet")):
        try:
            tables.append(pq.read_table(file, schema=SCHEMA))
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{file} is damaged ({error}): remove it, and run the arena again") from None
    if not tables:
        raise StoreError(f"{folder} holds no course yet: run the arena")
    return ArenaRecords(folder, header, _cells(pa.concat_tables(tables)))


def _cells(table: pa.Table) -> Cells:
    columns: dict[str, Any] = {}
    for name, kind in _SCALARS.items():
        column = table[name].fill_null(-1) if name == "shift" else table[name]
        columns[name] = column.to_numpy().astype(np.str_ if kind == pa.string() else np.int64)
    for name in _LISTS:
        columns[name] = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)
    return Cells(**columns)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
