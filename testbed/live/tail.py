"""Follows a run folder from outside: what became durable since one last looked, without touching it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from results import RecordError, StoreError, TrialRecord
from results.records import from_json
from results.run import read_header, read_plan
from results.samples import segments, select, trial_of

HISTORY = 40
"""trials before the first look that are shown"""
_LOCKS = Path("/proc/locks")

State = Literal["running", "stopped", "complete"]


@dataclass(frozen=True)
class News:
    """What came since the last look."""

    trials: tuple[TrialRecord, ...]
    samples: tuple[pa.Table, ...]
    """`results.samples.SCHEMA`, in order"""
    done: int
    """trials on record altogether"""
    state: State


class RunTail:
    """Of one run folder. Raises StoreError where there is no run of this format."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_header(path)
        self.plan = read_plan(path)
        self._trials = path / "trials.jsonl"
        self._read = 0
        """bytes of whole lines"""
        self._done = 0
        self._segment: Path | None = None
        self._at = 0
        """bytes of the segment that were read"""
        self._first = True

    def look(self) -> News:
        """Only whole lines and whole batches count: what is being written waits. Raises StoreError for damage."""
        lines = self._lines()
        self._done += len(lines)
        trials = tuple(map(self._trial, lines[-HISTORY:]))
        state = state_of(self.path)
        samples = tuple(self._batches())
        if self._first and state == "complete" and trials:
            samples = (select(self.path, self._done, "trial", trials[0].index, trials[-1].index),)
        self._first = False
        return News(trials, samples, self._done, state)

    def _trial(self, line: bytes) -> TrialRecord:
        try:
            return from_json(TrialRecord, line)
        except RecordError as error:
            raise StoreError(f"{self._trials}: {error}") from None

    def _lines(self) -> list[bytes]:
        with self._trials.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return []
        self._read += len(whole) + 1
        return whole.split(b"\n")

    def _batches(self) -> Iterator[pa.Table]:
        """Of the newest segment, and of an earlier one that was not read to its end."""
        known = segments(self.path)
        if self._segment is None and known:
            self._segment = known[-1]
        for segment in known:
            if self._segment is None or segment < self._segment:
                continue
            if segment != self._segment:
                self._segment, self._at = segment, 0
            yield from self._batches_of(segment)

    def _batches_of(self, segment: Path) -> Iterator[pa.Table]:
        try:
            size = segment.stat().st_size
            if size < self._at:  # a resume cut off what had no trial
                self._at = 0
            if size == self._at:
                return
            with pa.OSFile(str(segment)) as file:
                schema = pa.ipc.read_schema(file)
                file.seek(max(self._at, file.tell()))
                while True:
                    message = pa.ipc.read_message(file)
                    self._at = file.tell()
                    batch = pa.ipc.read_record_batch(message, schema)
                    if trial_of(batch) >= self._done - HISTORY:
                        yield pa.Table.from_batches([batch])
        except (EOFError, FileNotFoundError, pa.ArrowInvalid):  # the end; torn; or packed into the Parquet file
            return
        except OSError as error:  # Arrow's own "expected more bytes" has no errno; a failing disk has
            if error.errno is not None:
                raise


def state_of(path: Path) -> State:
    """Whether a process is at the run, by the lock it holds."""
    if (path / "complete.json").exists():
        return "complete"
    held = (path / "trials.jsonl").stat()
    place = f"{os.major(held.st_dev):02x}:{os.minor(held.st_dev):02x}:{held.st_ino}"
    return "running" if any(place in line.split() for line in _LOCKS.read_text().splitlines()) else "stopped"


def newest_run(out: Path, bench: str | None = None) -> Path | None:
    """The run begun last under `out`, or, of a bench, the one that is going on; None where there is none."""
    runs = sorted(out.glob("*/run.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in runs:
        if bench is None:
            return file.parent
        if state_of(file.parent) == "running" and read_header(file.parent).bench.get("name") == bench:
            return file.parent
    return None
