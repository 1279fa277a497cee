"""A run as a dataset takes it in: trial by trial, batch by batch, never whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from results import samples
from results.dataset.private import Private
from results.durable import StoreError
from results.records import BlockRecord, Record, RecordError, RunHeader, TrialRecord, from_json
from results.run import read_header

BATCH_ROWS = 1 << 16
"""of samples, read at once"""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run in a dataset, and what all rows of it share."""

    path: Path
    header: RunHeader
    private: Private
    id: str
    board: str
    bench: str
    suite: str
    provenance: str
    tags: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, header: RunHeader, private: Private) -> RunFacts:
        """Named as the run's folder is by default, with a few digits that tell it from any other."""
        bench, suite = (
            private.text(str(facts.get("name", what)))
            for facts, what in ((header.bench, "bench"), (header.suite, "suite"))
        )
        stamp = re.sub("[^0-9T]", "", header.created.partition(".")[0].partition("+")[0])
        digest = hashlib.sha256((path / "run.json").read_bytes()).hexdigest()
        return cls(
            path=path,
            header=header,
            private=private,
            id=_as_folder(f"{suite}-{bench}-{stamp}-{digest[:6]}"),
            board=_as_folder(_board(header, private)),
            bench=bench,
            suite=suite,
            provenance=private.text(header.provenance),
            tags=tuple(map(private.text, header.labels)),
        )

    def trials(self) -> Iterator[TrialRecord]:
        """The durable ones, in order. Raises `StoreError` naming the line that is none."""
        for index, trial in enumerate(_records(self.path / "trials.jsonl", TrialRecord)):
            if trial.index != index:
                raise StoreError(
                    f"{self.path / 'trials.jsonl'}, line {index + 1}: trial {trial.index} where {index} belongs."
                )
            yield trial

    def blocks(self) -> Iterator[BlockRecord]:
        """Each time a condition took effect or ended, in order."""
        return _records(self.path / "blocks.jsonl", BlockRecord)

    def planned(self) -> int:
        """How many trials the run was to have."""
        return sum(1 for _ in _lines(self.path / "plan.jsonl"))

    def samples(self, trials: int) -> Iterator[pa.RecordBatch]:
        """Those of the first `trials` trials in batches, in the order of trials."""
        parquet = self.path / "samples.parquet"
        if not parquet.exists():
            yield from samples.stored(self.path, trials)
            return
        if not samples.readable(parquet):
            raise StoreError(f"{parquet} is damaged: restore it from a copy, then export again.")
        with pq.ParquetFile(parquet) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=samples.SCHEMA.names)


def open_runs(paths: Iterable[Path], private: Private) -> list[RunFacts]:
    """The runs at `paths`. Raises one `StoreError` that names every one that cannot be used."""
    headers, refused = [], []
    for path in paths:
        try:
            headers.append((path, read_header(path)))
        except StoreError as error:
            refused.append(str(error))
    if refused:
        raise StoreError("\n".join(refused))
    for _, header in headers:
        private.learn(header)
    runs = [RunFacts.of(path, header, private) for path, header in headers]
    for _, same in groupby(sorted(runs, key=lambda run: run.id), lambda run: run.id):
        first, *others = same
        if others:
            raise StoreError(f"{first.path} and {others[0].path} are the same run: give it once.")
    return runs


def _records(file: Path, kind: type[Record]) -> Iterator[Record]:
    for number, line in enumerate(_lines(file), start=1):
        try:
            yield from_json(kind, line)
        except RecordError as error:
            raise StoreError(f"{file}, line {number}: {error}") from None


def _lines(file: Path) -> Iterator[bytes]:
    """Without their ends; one that lacks its end was torn by a crash and is left out."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield line[:-1]


def _board(header: RunHeader, private: Private) -> str:
    settings = header.bench.get("board")
    settings = settings if isinstance(settings, dict) else {}
    kind = str(settings.get("kind", "unknown"))
    model = settings.get("model") or settings.get("profile")
    machine = str(header.host.get("machine", "host"))
    return private.text(f"{kind}-{model}" if model else f"{kind}-{machine}")


def _as_folder(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"
