"""Holds a dataset to its promises: files, checksums, columns, units, counts, energies, Croissant, nothing private."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from results.dataset.card import dictionary_text, read_front_matter
from results.dataset.croissant import croissant_text
from results.dataset.csv import count_rows
from results.dataset.energies import strange_energies
from results.dataset.folder import (
    CARD,
    CROISSANT,
    DICTIONARY,
    FACTS,
    UNSUMMED,
    DatasetFacts,
    csv_path,
    files_below,
    read_facts,
    read_sums,
    sha256,
)
from results.dataset.private import Private, looks_private, words_of_this_host
from results.dataset.tables import RUNS, TABLES
from results.dataset.trials import TRIALS
from results.durable import StoreError

SHOWN = 5
"""of the same complaint, before the rest is only counted"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise looked at."""

    what: str
    verdict: Literal["ok", "doubtful", "wrong"]
    detail: str


def check(folder: Path) -> Iterator[Finding]:
    """Findings as they come, every promise looked at that can be. Raises `StoreError` when it is no dataset at all."""
    facts = read_facts(folder)
    expected = _expected(facts)
    yield _all("files", _files(folder, expected), f"all {len(expected)} are there, and no others")
    damaged = dict(_damaged(folder))
    yield _all("checksums", list(damaged.values()), "every file is as it was written")
    there = [path for path in facts.files if (folder / path).exists() and path not in damaged]
    strange = {path: "; ".join(found) for path in there if (found := list(_columns(folder, path, facts)))}
    yield _all("columns", list(strange.values()), "names, types, units, meanings and row counts are as stated")
    sound = [path for path in there if path not in strange]
    yield _all("rows", _rows(folder, facts, sound), f"{facts.rows(TRIALS.name)} trials in order, each of a known run")
    if facts.csv:
        csv = [complaint for path in facts.files for complaint in _csv(folder, path, facts, damaged)]
        yield _all("csv", csv, "as many rows as the Parquet")
    yield _all("energies", _some(strange_energies(folder, facts, sound)), "each lies within its trace")
    yield _all("description", list(_description(folder, facts)), "dictionary, card and metadata say what is there")
    yield _all("private", _some(_private(folder, facts, sound)), "nothing looks like a person, host, network or device")
    yield _croissant(folder)


def _all(what: str, complaints: list[str], well: str) -> Finding:
    return Finding(what, "wrong", "; ".join(complaints)) if complaints else Finding(what, "ok", well)


def _some(complaints: Iterator[str]) -> list[str]:
    found = list(complaints)
    return found if len(found) <= SHOWN else [*found[:SHOWN], f"and {len(found) - SHOWN} more"]


def _expected(facts: DatasetFacts) -> set[str]:
    csv = {csv_path(path) for path in facts.files} if facts.csv else set()
    return {*facts.files, *csv, FACTS, DICTIONARY, CROISSANT, *UNSUMMED}


def _files(folder: Path, expected: set[str]) -> list[str]:
    # What a repository keeps beside a dataset, such as .git or .gitattributes, is no part of it.
    found = {path for path in files_below(folder) if not path.startswith(".")}
    return [f"{path} is missing" for path in sorted(expected - found)] + [
        f"{path} is not of this dataset" for path in sorted(found - expected)
    ]


def _damaged(folder: Path) -> Iterator[tuple[str, str]]:
    try:
        sums = read_sums(folder)
    except StoreError as error:
        yield "", str(error)
        return
    for path, digest in sums.items():
        file = folder / path
        if file.exists() and sha256(file) != digest:
            yield path, f"{path} was altered or cut short: restore it from a copy, or export again"
    for path in files_below(folder):
        if path not in sums and path not in UNSUMMED and not path.startswith("."):
            yield path, f"{path} has no checksum"


def _columns(folder: Path, path: str, facts: DatasetFacts) -> Iterator[str]:
    file = facts.files[path]
    table = TABLES.get(file.table)
    if table is None:
        yield f"{path} is said to be of a table {file.table}, which there is not"
        return
    try:
        metadata, schema = pq.read_metadata(folder / path), pq.read_schema(folder / path)
    except pa.ArrowInvalid:
        yield f"{path} is no whole Parquet file"
        return
    if not schema.remove_metadata().equals(table.schema, check_metadata=True):
        yield f"{path} has other columns, types, units or meanings than {table.name} has"
    if metadata.num_rows != file.rows:
        yield f"{path} has {metadata.num_rows} rows, {FACTS} says {file.rows}"


def _rows(folder: Path, facts: DatasetFacts, sound: list[str]) -> list[str]:
    complaints = []
    runs = {row["run"]: row for path in sound if facts.files[path].table == RUNS.name for row in _read(folder / path)}
    if set(runs) != set(facts.runs):
        complaints.append(f"{RUNS.name} describes other runs than {FACTS} names")
    made: dict[str, int] = dict.fromkeys(facts.runs, 0)
    by_provenance: dict[str, int] = {}
    for path in sound:
        if facts.files[path].table != TRIALS.name:
            continue
        with pq.ParquetFile(folder / path) as file:
            for batch in file.iter_batches(columns=["run", "trial", "provenance"]):
                for run, count in _counted(batch.column("run")):
                    numbers = (
                        batch.filter(pc.equal(batch.column("run").cast(pa.string()), run)).column("trial").to_pylist()
                    )
                    if run not in made or numbers != list(range(made[run], made[run] + count)):
                        complaints.append(f"{path} has trials of {run} out of order, twice, or of a run not described")
                    made[run] = made.get(run, 0) + count
                for provenance, count in _counted(batch.column("provenance")):
                    by_provenance[provenance] = by_provenance.get(provenance, 0) + count
    complaints += [
        f"{run} has {made.get(run, 0)} trials, its row in {RUNS.name} says {row['trials']}"
        for run, row in runs.items()
        if made.get(run, 0) != row["trials"]
    ]
    if {kind: count for kind, count in facts.provenance.items() if count} != by_provenance:
        complaints.append(f"provenance of the trials is {by_provenance}, {FACTS} says {dict(facts.provenance)}")
    return complaints


def _counted(column: pa.Array) -> list[tuple[str, int]]:
    return [
        (str(each["values"]), int(each["counts"])) for each in pc.value_counts(column.cast(pa.string())).to_pylist()
    ]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()


def _csv(folder: Path, path: str, facts: DatasetFacts, damaged: dict[str, str]) -> Iterator[str]:
    file = csv_path(path)
    if not (folder / file).exists() or file in damaged:
        return
    try:
        rows = count_rows(folder / file)
    except pa.ArrowInvalid as error:
        yield f"{file} is no CSV: {str(error).splitlines()[0]}"
        return
    if rows != facts.files[path].rows:
        yield f"{file} has {rows} rows, the Parquet {facts.files[path].rows}"


def _description(folder: Path, facts: DatasetFacts) -> Iterator[str]:
    for name, text in ((DICTIONARY, dictionary_text()), (CROISSANT, croissant_text(facts))):
        file = folder / name
        if file.exists() and file.read_text(encoding="utf-8") != text:
            yield f"{name} is not what the columns and {FACTS} say"
    card = folder / CARD
    if not card.exists():
        return
    try:
        front = read_front_matter(card)
        patterns = [config["data_files"].replace("**/", "*") for config in front["configs"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        yield f"{CARD}: {error if isinstance(error, ValueError) else 'its front matter has no configs with data_files'}"
        return
    if lost := [path for path in facts.files if not any(fnmatch.fnmatch(path, pattern) for pattern in patterns)]:
        yield f"{CARD}: its configs leave out {', '.join(lost[:SHOWN])}"
    if empty := [pattern for pattern in patterns if not fnmatch.filter(facts.files, pattern)]:
        yield f"{CARD}: its configs name {', '.join(empty)}, which matches no file"


def _croissant(folder: Path) -> Finding:
    try:
        import mlcroissant
        from absl import logging
    except ImportError:
        return Finding(
            "croissant", "doubtful", "not validated: pip install 'edge-energy-testbed[dataset]', then check again"
        )
    loudness = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # it recommends a license and a citation, which are for people to give
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what it is built on, not about the dataset
            dataset = mlcroissant.Dataset(jsonld=folder / CROISSANT)
            for record_set in dataset.metadata.record_sets:
                next(iter(dataset.records(record_set.uuid)))
    except Exception as error:  # noqa: BLE001  # whatever it raises is what is wrong with the file
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return Finding("croissant", "wrong", f"{CROISSANT}: {reason}")
    finally:
        logging.set_verbosity(loudness)
    return Finding("croissant", "ok", "valid, and the first record of every set loads")


def _private(folder: Path, facts: DatasetFacts, sound: list[str]) -> Iterator[str]:
    private = Private(words_of_this_host())
    for path in sound:
        with pq.ParquetFile(folder / path) as file:
            words = [each.name for each in file.schema_arrow if _is_text(each.type)]
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=words)
                for name in words:
                    yield from (f"{path}, column {name}: {found}" for found in _private_in(_texts(rows[name]), private))
    yield from (f"{FACTS}: {found}" for found in _private_in([facts.name, *facts.tags, *facts.runs], private))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) or pa.types.is_list(kind) else kind))


def _texts(column: pa.ChunkedArray) -> list[str]:
    """The different texts of a column."""
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return [text for text in pc.unique(column).to_pylist() if text]


def _private_in(texts: Iterable[str], private: Private) -> Iterator[str]:
    for text in texts:
        if private.text(text) != text:
            yield ", ".join(looks_private(text)) or f"a name of this machine or its user in {text[:60]!r}"
