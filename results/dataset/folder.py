"""The folder of a dataset: what lies where in it, what it says of itself, and how it comes into being whole."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from results.durable import StoreError, no_space_named, sync_folder
from results.records import STRICT

DATASET_VERSION = 1
"""of the folder's layout and its columns; a folder of another version is refused, never guessed at"""
FACTS, SUMS, CARD, DICTIONARY, CROISSANT = (
    "dataset.json",
    "SHA256SUMS",
    "README.md",
    "data-dictionary.md",
    "croissant.json",
)
UNSUMMED = frozenset({SUMS, CARD})
"""files without a checksum: the card is for people to complete"""
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class FileFacts:
    """A Parquet file of a dataset."""

    table: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class DatasetFacts:
    """What a dataset says of itself, in dataset.json."""

    format_version: int = DATASET_VERSION
    name: str
    created: str
    """ISO 8601, UTC"""
    license: str | None
    """SPDX identifier; None: nobody stated one"""
    creators: tuple[str, ...]
    provenance: dict[str, int]
    """provenance -> trials"""
    boards: tuple[str, ...]
    runs: tuple[str, ...]
    tags: tuple[str, ...]
    """labels of any of its runs"""
    unfinished: tuple[str, ...]
    """runs that have not made all their trials"""
    csv: bool
    """whether each Parquet file has a CSV beside it, under csv/"""
    files: dict[str, FileFacts]
    """path -> what it holds"""

    @property
    def statement(self) -> str:
        """Where its figures come from, in a sentence that goes wherever they are described."""
        kinds = ", ".join(f"{trials} {provenance}" for provenance, trials in sorted(self.provenance.items()))
        if set(self.provenance) == {"measured"}:
            return f"Every one of its trials was measured on hardware ({kinds})."
        if "measured" not in self.provenance:
            return (
                "None of its figures is a measurement of hardware: they come from a virtual bench, simulated silicon "
                f"behind real protocols ({kinds})."
            )
        return (
            f"It mixes measurements of hardware with figures that are none ({kinds}): tell them apart by the column "
            "provenance."
        )

    def rows(self, table: str) -> int:
        """Of all files of a table."""
        return sum(file.rows for file in self.files.values() if file.table == table)


def read_facts(folder: Path) -> DatasetFacts:
    """Raises `StoreError` when the folder is no dataset of this version."""
    file = folder / FACTS
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{folder} is no dataset: it has no {FACTS}. Give the folder that `testbed export` made."
        ) from None
    try:
        version = json.loads(text).get("format_version")
        if version != DATASET_VERSION:
            raise StoreError(
                f"{folder} has dataset format {version}, this program reads {DATASET_VERSION}: use what wrote it."
            )
        return TypeAdapter(DatasetFacts).validate_json(text)
    except (AttributeError, ValueError, ValidationError) as error:
        raise StoreError(f"{file} is damaged ({str(error).splitlines()[0]}): restore it, or export again.") from None


def facts_json(facts: DatasetFacts) -> str:
    """As dataset.json holds them."""
    return TypeAdapter(DatasetFacts).dump_json(facts, indent=1).decode() + "\n"


def csv_path(parquet: str) -> str:
    """Where the CSV of a Parquet file lies."""
    return f"csv/{parquet.removesuffix('.parquet')}.csv"


def files_below(folder: Path) -> list[str]:
    """Every file, as a path relative to the folder with forward slashes, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def sha256(file: Path) -> str:
    """In hexadecimal; of a file of any size."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_sums(folder: Path) -> dict[str, str]:
    """path -> digest, of a file that `sha256sum --check` reads too. Raises `StoreError` when it is none."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    except (FileNotFoundError, ValueError) as error:
        raise StoreError(
            f"{folder / SUMS} is missing or damaged ({error}): what it vouched for cannot be checked."
        ) from None


def write_sums(folder: Path) -> None:
    """Of every file that has one."""
    lines = [f"{sha256(folder / path)}  {path}\n" for path in files_below(folder) if path not in UNSUMMED]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def require_free(folder: Path) -> None:
    """Raises `StoreError` when something lies there already: a dataset is never written over."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} exists already: choose another folder for the dataset, or remove that one.")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, beside the one wanted, which it becomes at the end; on any error it goes.

    Raises `StoreError` when the wanted folder is not free or another process is at it, `StoreFull` without space. What
    a killed process left is removed by the next.
    """
    folder = folder.absolute()
    require_free(folder)
    unfinished = folder.with_name(f".{folder.name}.part")
    with no_space_named(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished.mkdir(exist_ok=True)
    lock = os.open(unfinished, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{folder} is being written by another process: wait for it, or stop it.") from None
        require_free(folder)  # again: another process may have finished it meanwhile
        _empty(unfinished)
        try:
            with no_space_named(folder):
                yield unfinished
                _sync(unfinished)
                if folder.exists():
                    folder.rmdir()
                unfinished.rename(folder)
                sync_folder(folder.parent)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    finally:
        os.close(lock)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sync(folder: Path) -> None:
    """Makes everything below durable before it gets its name."""
    for path in (folder, *folder.rglob("*")):
        sync_folder(path)  # of a file too: what fsync takes is a descriptor
