"""A calibration on disk: `calibration.json` says how it came to be, `measurements.jsonl` has a line a measurement.

A measurement is durable before the next begins; whatever stops the program, what is there can be gone on with.
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from results import StoreError
from results.durable import AppendFile, sync_folder, write_whole
from results.run import whole_lines
from testbed.calibrate.measurement import Measurement

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
HEADER, MEASUREMENTS, MODEL = "calibration.json", "measurements.jsonl", "power-model.json"


class Folder:
    """Of one calibration; at most one process at a time holds it. A context manager."""

    def __init__(self, path: Path) -> None:
        """Takes over what is there; use `create` for a new one. Raises StoreError."""
        self.path = path
        self.header = read_header(path)
        self._file = AppendFile(path / MEASUREMENTS)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(f"{path} is in use by another process: wait for it, or stop it") from None
            lines = whole_lines(self._file.path)
            if (whole := sum(len(line) + 1 for line in lines)) < self._file.size:
                _log.warning("%s: dropped a torn last line", self._file.path)
                self._file.cut(whole)
            self.measurements = [_measurement(line, self._file.path, n) for n, line in enumerate(lines, start=1)]
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> Folder:
        """Raises StoreError for a folder that exists."""
        if path.exists():
            raise StoreError(f"{path} exists already: choose another folder, or go on with it by --resume")
        path.mkdir(parents=True)
        sync_folder(path.parent)
        text = json.dumps({"format_version": FORMAT_VERSION, **header}, indent=2, allow_nan=False) + "\n"
        write_whole(path / HEADER, lambda part: _write(part, text))
        return cls(path)

    def append(self, measurement: Measurement) -> None:
        """Make it durable. Raises StoreError where there is no space for it; then it left no trace."""
        self._file.append(json.dumps(measurement.as_dict(), allow_nan=False).encode() + b"\n")
        self.measurements.append(measurement)

    def write_model(self, facts: Mapping[str, Any]) -> Path:
        """Put the power model in place; returns its file."""
        text = json.dumps(facts, indent=2, allow_nan=False) + "\n"
        write_whole(self.path / MODEL, lambda part: _write(part, text))
        return self.path / MODEL

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def read_header(path: Path) -> dict[str, Any]:
    """Raises StoreError for what is no calibration of this format."""
    try:
        header = json.loads((path / HEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StoreError(f"{path} is no calibration: it has no readable {HEADER}") from None
    if not isinstance(header, dict) or header.get("format_version") != FORMAT_VERSION:
        raise StoreError(f"{path} is a calibration of another format; this program reads {FORMAT_VERSION}")
    return header


def _measurement(line: bytes, file: Path, number: int) -> Measurement:
    try:
        return Measurement.from_dict(json.loads(line))
    except (ValueError, ValidationError) as error:
        what = str(error).splitlines()[0]
        raise StoreError(f"{file}, line {number}: is no measurement ({what}); restore it, or calibrate anew") from None


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
