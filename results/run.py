"""A run as it lies on the disk, read without touching it: finished, unfinished, or still being written.

run.json            how it came to be
plan.jsonl          the planned trials, one a line, as the runner wrote them
trials.jsonl        one line for each trial done; line k is trial k of the plan
blocks.jsonl        one line for each time a condition took effect
samples-0001.arrows power samples, a segment for each start or resume ...
samples.parquet     ... or all of them, once the run is complete
complete.json       written last
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from results import samples
from results.durable import StoreError
from results.records import FORMAT_VERSION, BlockRecord, Facts, Record, RecordError, RunHeader, TrialRecord, from_json


@dataclass(frozen=True)
class Run:
    """What is durable in a run folder at the moment of reading."""

    path: Path
    header: RunHeader
    plan: tuple[Facts, ...]
    trials: tuple[TrialRecord, ...]
    blocks: tuple[BlockRecord, ...]
    complete: bool

    @classmethod
    def read(cls, path: Path) -> Run:
        """Raises `StoreError` when `path` is not a run of this format; a torn last line is left out."""
        header = read_header(path)
        # What is written last is looked at first: a run still being written then never seems to contradict itself.
        complete = (path / "complete.json").exists()
        packed = (path / "samples.parquet").exists()
        trials = read_trials(path)
        plan = read_plan(path)
        if len(trials) > len(plan) or (packed and len(trials) < len(plan)):
            raise StoreError(f"{path} has {len(trials)} of {len(plan)} trials and cannot have: it was altered by hand.")
        return cls(path, header, plan, trials, read_blocks(path), complete)

    def samples_of(self, trial: int) -> pa.Table:
        """All samples recorded with a trial (`samples.SCHEMA`), lead-in included; no rows where it had none."""
        return samples.select(self.path, len(self.trials), "trial", trial, trial)

    def samples_between(self, start_ns: int, end_ns: int) -> pa.Table:
        """The samples with start_ns <= time_ns <= end_ns, of whichever trial.

        After a reboot between start and resume the controller's clock begins again: `samples_of` cannot mix the two.
        """
        return samples.select(self.path, len(self.trials), "time_ns", start_ns, end_ns)


def read_header(path: Path) -> RunHeader:
    """The header of the run at `path`; its version is judged before its other keys."""
    file = path / "run.json"
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{path} is not a run: it has no run.json. Give the folder that `testbed run` made.") from None
    try:
        found: Any = json.loads(text)
        version = found.get("format_version") if isinstance(found, dict) else None
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{path} has run format {version}, this program reads {FORMAT_VERSION}: use the version that wrote it."
            )
        return from_json(RunHeader, text)
    except ValueError as error:
        raise StoreError(f"{file} is damaged: {error}") from None


def read_plan(path: Path) -> tuple[Facts, ...]:
    """The planned trials; the plan was written whole, so one that ends in mid-line was damaged later."""
    file = path / "plan.jsonl"
    try:
        *lines, rest = file.read_bytes().split(b"\n")
        if rest:
            raise ValueError("its last line has no end")
        return tuple(json.loads(line) for line in lines)
    except (FileNotFoundError, ValueError) as error:
        raise StoreError(f"{file} is damaged: {error}. Restore it from a copy.") from None


def read_trials(path: Path) -> tuple[TrialRecord, ...]:
    """The durable trials; line k holds trial k."""
    trials = _records(path / "trials.jsonl", TrialRecord)
    for line, trial in enumerate(trials):
        if trial.index != line:
            raise StoreError(f"{path / 'trials.jsonl'}, line {line + 1}: trial {trial.index} where {line} belongs.")
    return trials


def read_blocks(path: Path) -> tuple[BlockRecord, ...]:
    """Each time a condition took effect, in order."""
    return _records(path / "blocks.jsonl", BlockRecord)


def whole_lines(file: Path) -> list[bytes]:
    """The lines of a file without their ends; one that lacks its end was torn by a crash and is left out."""
    return file.read_bytes().split(b"\n")[:-1] if file.exists() else []


def _records(file: Path, kind: type[Record]) -> tuple[Record, ...]:
    found = []
    for number, line in enumerate(whole_lines(file), start=1):
        try:
            found.append(from_json(kind, line))
        except RecordError as error:
            raise StoreError(f"{file}, line {number}: {error}") from None
    return tuple(found)
