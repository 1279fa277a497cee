"""From runs to a dataset: read in order, written in bounded batches, in place only when all of it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from results.dataset.card import dictionary_text, write_card
from results.dataset.columns import Table
from results.dataset.croissant import croissant_text
from results.dataset.csv import write_csv
from results.dataset.folder import (
    CARD,
    CROISSANT,
    DICTIONARY,
    FACTS,
    DatasetFacts,
    FileFacts,
    csv_path,
    facts_json,
    require_free,
    whole_folder,
    write_sums,
)
from results.dataset.private import Private, words_of_this_host
from results.dataset.source import RunFacts, open_runs
from results.dataset.tables import BLOCKS, RUNS, SAMPLES, BlockRow, RunRow, sample_table
from results.dataset.trial_columns import TrialRow
from results.dataset.trials import TRIALS
from results.durable import StoreError
from results.samples import ROWS_PER_GROUP

ROWS_AT_ONCE = 512
"""of a table that is made row by row: bounds how many records are held"""
ROWS_OF_GROUP = 2048
"""of such a table, in a row group of Parquet: bounds how many rows are held"""
ROWS_PER_FILE = {TRIALS.name: 1 << 16, SAMPLES.name: 1 << 22}
"""some 30 MB of either, which many programs read whole; its list of row groups is in memory until a file is closed"""
_DELTA = ("index", "time_ns")
"""columns that climb in nearly even steps"""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class About:
    """What only a person can say of a dataset."""

    name: str
    license: str | None = None
    """SPDX identifier, such as CC-BY-4.0"""
    creators: tuple[str, ...] = ()


def export(
    runs: Sequence[Path],
    folder: Path,
    about: About,
    *,
    csv: bool = False,
    mixed: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
) -> DatasetFacts:
    """Makes the dataset of some runs in `folder`, which appears when it is whole.

    `mixed` says that measured and virtual runs may stand in it together. Raises `StoreError` for runs that cannot be
    read, are given twice or do not belong together, and for a folder that is not free; `StoreFull` without space.
    """
    require_free(folder)
    private = Private(words_of_this_host())
    opened = open_runs(runs, private)
    if not mixed:
        _require_one_provenance(opened)
    with whole_folder(folder) as part:
        taken = _Taken(part)
        with ExitStack() as stack:
            run_rows = stack.enter_context(_Writer(part, RUNS, "", taken))
            for run in opened:
                on_step(f"taking in {run.path}")
                run_rows.write(RUNS.batch([_take_run(part, run, taken)]))
        facts = _facts(opened, about, csv, taken)
        if csv:
            for path in facts.files:
                on_step(f"writing {csv_path(path)}")
                write_csv(part / path, part / csv_path(path))
        on_step("describing it")
        (part / FACTS).write_text(facts_json(facts), encoding="utf-8")
        (part / DICTIONARY).write_text(dictionary_text(), encoding="utf-8")
        (part / CROISSANT).write_text(croissant_text(facts), encoding="utf-8")
        write_card(part / CARD, facts)
        on_step("checksums")
        write_sums(part)
    return facts


@dataclass
class _Taken:
    """What was written so far."""

    folder: Path
    files: dict[str, FileFacts] = field(default_factory=dict)
    provenance: Counter[str] = field(default_factory=Counter)
    unfinished: list[str] = field(default_factory=list)


def _require_one_provenance(runs: Iterable[RunFacts]) -> None:
    kinds: dict[bool, list[str]] = {}
    for run in runs:
        kinds.setdefault(run.provenance == "measured", []).append(str(run.path))
    if len(kinds) > 1:
        raise StoreError(
            f"measured and virtual runs do not go into one dataset unasked: measured: {', '.join(kinds[True])}; "
            f"not: {', '.join(kinds[False])}. Export them apart, or give --mixed; each row then says which it is."
        )


def _take_run(part: Path, run: RunFacts, taken: _Taken) -> RunRow:
    complete = (run.path / "complete.json").exists()
    place = f"board={run.board}/run={run.id}"
    with _Writer(part, TRIALS, place, taken) as trials:
        trials.write_all(_tables(TRIALS, (TrialRow(run, trial) for trial in run.trials())), ROWS_OF_GROUP)
    with _Writer(part, BLOCKS, place, taken) as blocks:
        blocks.write_all(_tables(BLOCKS, (BlockRow(run, block) for block in run.blocks())), ROWS_OF_GROUP)
    with _Writer(part, SAMPLES, place, taken) as samples:
        samples.write_all((sample_table(run, batch) for batch in run.samples(trials.rows)), ROWS_PER_GROUP)
    taken.provenance[run.provenance] += trials.rows
    row = RunRow(run, trials.rows, run.planned(), samples.rows, complete)
    if row.trials < row.planned:
        taken.unfinished.append(run.id)
    return row


def _facts(runs: Sequence[RunFacts], about: About, csv: bool, taken: _Taken) -> DatasetFacts:
    return DatasetFacts(
        name=about.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        license=about.license,
        creators=about.creators,
        provenance=dict(taken.provenance),
        boards=tuple(sorted({run.board for run in runs})),
        runs=tuple(sorted(run.id for run in runs)),
        tags=tuple(sorted({tag for run in runs for tag in run.tags})),
        unfinished=tuple(sorted(taken.unfinished)),
        csv=csv,
        files=dict(sorted(taken.files.items())),
    )


class _Writer:
    """Parquet files of one table at one place, the next begun where one is full. A context manager."""

    def __init__(self, folder: Path, table: Table[Any], place: str, taken: _Taken) -> None:
        self._folder = folder
        self._table = table
        self._place = f"{table.name}/{place}".rstrip("/")
        self._taken = taken
        self._most = ROWS_PER_FILE.get(table.name, ROWS_PER_FILE[TRIALS.name])
        self._file: pq.ParquetWriter | None = None
        self._path = ""
        self._parts = self._rows_of_file = 0
        self.rows = 0

    def write_all(self, tables: Iterator[pa.Table], rows: int) -> None:
        """In row groups of so many rows, or a little more."""
        held: list[pa.Table] = []
        for table in tables:
            held.append(table)
            if sum(map(len, held)) >= rows:
                self.write(pa.concat_tables(held).unify_dictionaries())
                held = []
        if held:
            self.write(pa.concat_tables(held).unify_dictionaries())

    def write(self, rows: pa.Table) -> None:
        """As a row group."""
        if self._file is None:
            self._path = f"{self._place}/part-{self._parts:05d}.parquet"
            (self._folder / self._place).mkdir(parents=True, exist_ok=True)
            self._file = pq.ParquetWriter(self._folder / self._path, self._table.schema, **_encoding(self._table))
            self._parts += 1
        self._file.write_table(rows)
        self.rows += len(rows)
        self._rows_of_file += len(rows)
        if self._rows_of_file >= self._most:
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._taken.files[self._path] = FileFacts(table=self._table.name, rows=self._rows_of_file)
            self._rows_of_file = 0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self._close_file()
        elif self._file is not None:
            self._file.close()


def _encoding(table: Table[Any]) -> dict[str, Any]:
    if table is not SAMPLES:
        return {"compression": "zstd"}
    even = [column.name for column in table.columns if column.name in _DELTA]
    others = [column.name for column in table.columns if column.name not in _DELTA]
    return {
        "compression": "zstd",
        "use_dictionary": others,
        "column_encoding": dict.fromkeys(even, "DELTA_BINARY_PACKED"),
    }


def _tables(table: Table[Item], rows: Iterator[Item]) -> Iterator[pa.Table]:
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        yield table.batch(batch)
