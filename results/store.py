"""The writer of a run folder: no trial is lost once `append` has returned, and none is recorded twice.

The order of writes carries the promise: a trial's samples are on the disk before its line, the Parquet file before the
segments it replaces go, complete.json last. After a crash at any point `RunStore.open_for_resume` mends the tail.
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from results import samples
from results.durable import AppendFile, StoreError, sync_folder, write_whole
from results.records import BlockRecord, Facts, RunHeader, TrialRecord, to_json
from results.run import Run, read_header, whole_lines
from results.samples import SCHEMA, SampleColumns

log = logging.getLogger(__name__)


class RunStore:
    """A run being written; at most one process at a time holds it. A context manager: leaving it closes the files."""

    def __init__(self, path: Path, trials_file: AppendFile) -> None:
        """Takes over `trials_file`, locked, of a folder that is in order; use `create` or `open_for_resume`."""
        self.path = path
        run = Run.read(path)
        self.header = run.header
        self.plan = run.plan
        self.trials: list[TrialRecord] = list(run.trials)
        """durable so far; the next to come is number len(trials) of the plan"""
        self._trials_file = trials_file
        self._blocks_file = AppendFile(path / "blocks.jsonl")
        self._segment: AppendFile | None = None

    @classmethod
    def create(cls, path: Path, header: RunHeader, plan: Iterable[Facts]) -> RunStore:
        """Makes the run folder; `plan` is written once, one JSON object a trial. Refuses a folder that is not empty."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise StoreError(f"{path} exists already: choose another folder for the run, or resume that one.")
        path.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent)
        lines = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in plan)
        write_whole(path / "plan.jsonl", lambda part: _write_text(part, lines))
        trials_file = _locked(path)
        try:
            write_whole(path / "run.json", lambda part: _write_text(part, to_json(header)))
            return cls(path, trials_file)
        except BaseException:
            trials_file.close()
            raise

    @classmethod
    def open_for_resume(cls, path: Path) -> RunStore:
        """Mends what a crash tore and takes the run over. Raises `StoreError` when it is complete, in use or no run."""
        read_header(path)
        trials_file = _locked(path)
        try:
            if (path / "complete.json").exists():
                raise StoreError(f"{path} is complete: there is nothing to resume; `testbed report` writes its report.")
            Run.read(path)  # what was altered by hand is refused before anything is mended
            _mend(path, trials_file)
            return cls(path, trials_file)
        except BaseException:
            trials_file.close()
            raise

    def append(self, trial: TrialRecord, samples_read: SampleColumns | None = None) -> None:
        """Makes the next trial of the plan durable, its samples first. Raises `StoreFull`: then it left no trace."""
        self._expect(trial.index)
        segment = self._segment
        before = segment.size if segment else 0
        if samples_read is not None and len(samples_read.index):
            segment = self._append_samples(trial.index, samples_read)
        try:
            self._trials_file.append(to_json(trial).encode() + b"\n")
        except BaseException:
            if segment:
                segment.cut(before)
            raise
        self.trials.append(trial)

    def append_block(self, block: BlockRecord) -> None:
        """Records that a condition took effect."""
        self._blocks_file.append(to_json(block).encode() + b"\n")

    def finish(self) -> None:
        """Packs the samples and marks the run complete; every planned trial must be there."""
        if len(self.trials) < len(self.plan):
            raise StoreError(f"{self.path} has {len(self.trials)} of {len(self.plan)} trials: resume it first.")
        if self._segment:
            self._segment.close()
        parquet = self.path / "samples.parquet"
        if samples.segments(self.path) and not parquet.exists():
            rows = samples.stored(self.path, len(self.trials))
            write_whole(parquet, lambda part: samples.write_parquet(part, rows))
        _remove_packed(self.path)
        done = json.dumps({"trials": len(self.trials)})
        write_whole(self.path / "complete.json", lambda part: _write_text(part, done))

    def close(self) -> None:
        """Gives the folder back; always safe, twice too."""
        for file in (self._segment, self._blocks_file, self._trials_file):
            if file:
                file.close()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _expect(self, index: int) -> None:
        due = len(self.trials)
        if index < due:
            raise StoreError(f"{self.path} holds trial {index} already; the next is {due}.")
        if index > due or due >= len(self.plan):
            raise StoreError(
                f"trial {index} is out of the plan's order in {self.path}: {due} of {len(self.plan)} are done."
            )

    def _append_samples(self, trial: int, samples_read: SampleColumns) -> AppendFile:
        data = samples.batch_of(trial, samples_read).serialize().to_pybytes()
        if self._segment is None:
            self._segment = AppendFile(samples.segment_path(self.path, len(samples.segments(self.path)) + 1))
        if self._segment.size == 0:
            data = SCHEMA.serialize().to_pybytes() + data
        self._segment.append(data)
        return self._segment


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _locked(path: Path) -> AppendFile:
    """The trials file, held by this process until it is closed; the system frees the lock if the process dies."""
    file = AppendFile(path / "trials.jsonl")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StoreError(f"{path} is in use by another process: wait for it, or stop it.") from None
    return file


def _mend(path: Path, trials_file: AppendFile) -> None:
    """Drops whatever has no durable trial: torn lines, torn or orphaned batches, half-made files."""
    for part in path.glob("*.part"):
        part.unlink()
    _cut_torn_line(trials_file)
    blocks = AppendFile(path / "blocks.jsonl")
    try:
        _cut_torn_line(blocks)
    finally:
        blocks.close()
    _settle_parquet(path)
    trials = len(whole_lines(trials_file.path))
    for segment in samples.segments(path):
        _cut_orphans(segment, trials)


def _cut_torn_line(file: AppendFile) -> None:
    whole = sum(len(line) + 1 for line in whole_lines(file.path))
    if whole < file.size:
        log.warning("%s: dropped a torn last line of %d bytes", file.path, file.size - whole)
        file.cut(whole)


def _cut_orphans(segment: Path, trials: int) -> None:
    """Cuts a segment after the last whole batch of a durable trial: the trial of a later batch will run again."""
    keep = max((end for end, batch in samples.batches(segment) if samples.trial_of(batch) < trials), default=0)
    file = AppendFile(segment)
    try:
        if keep < file.size:
            log.warning("%s: dropped %d bytes of samples whose trial was not recorded", segment, file.size - keep)
            file.cut(keep)
    finally:
        file.close()


def _settle_parquet(path: Path) -> None:
    """Ends a packing that was interrupted: either the Parquet file is whole and replaces the segments, or it goes."""
    parquet = path / "samples.parquet"
    if parquet.exists():
        if samples.readable(parquet):
            _remove_packed(path)
        elif samples.segments(path):
            parquet.unlink()


def _remove_packed(path: Path) -> None:
    """Removes the segments once samples.parquet holds them."""
    for segment in samples.segments(path):
        segment.unlink()
    sync_folder(path)
