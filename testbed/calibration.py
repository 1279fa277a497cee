"""What a check against a known load found out about a meter, kept on this host and applied whenever that meter is used.

A record lies under `$XDG_DATA_HOME/testbed/calibrations/KIND-SERIAL/`, one file a check; of those for a channel the
latest counts. It holds for the settings it was made with (a shunt's value is part of the gain) and until it expires.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field, ValidationError

from power import Correction, PowerMonitor
from testbed.config.loader import Strict
from testbed.config.plugins import MonitorSettings
from testbed.errors import BenchError

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_PLACE = ("port",)
"""settings that say where a meter is, not what it is"""


class Conditions(Strict):
    """How the meter was checked. Uncertainties are standard ones and relative."""

    load_ohm: float = Field(gt=0)
    load_standard_uncertainty: float = Field(ge=0)
    supply_v: float = Field(gt=0)
    supply_standard_uncertainty: float = Field(ge=0)
    supply_by: str
    """"meter" or "given\""""
    load_power_w: float
    samples: int


class CalibrationRecord(Strict):
    """One channel of one specimen: it shows (1 + gain) P + offset_w. Standard uncertainties, k = 1."""

    format_version: int = Field(default=FORMAT_VERSION, ge=FORMAT_VERSION, le=FORMAT_VERSION)
    kind: str
    serial: str
    firmware: str
    channel: str
    settings: dict[str, Any]
    """of the monitor, as resolved, without its port"""
    created: AwareDatetime
    expires: AwareDatetime
    gain: float
    gain_standard_uncertainty: float = Field(ge=0)
    offset_w: float
    offset_standard_uncertainty_w: float = Field(ge=0)
    conditions: Conditions

    @property
    def correction(self) -> Correction:
        """What it says of a reading."""
        return Correction(self.gain, self.gain_standard_uncertainty, self.offset_w, self.offset_standard_uncertainty_w)

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.serial}, {self.channel}, checked {self.created:%Y-%m-%d} against "
            f"{self.conditions.load_ohm:g} Ohm: gain {self.gain:+.2%} ± {self.gain_standard_uncertainty:.2%}, offset "
            f"{self.offset_w * 1e3:+.3g} ± {self.offset_standard_uncertainty_w * 1e3:.2g} mW; "
            f"expires {self.expires:%Y-%m-%d}"
        )


def calibrations_folder() -> Path:
    """As the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "testbed" / "calibrations"


def store(record: CalibrationRecord) -> Path:
    """Keep a record beside the earlier ones; returns its file."""
    folder = _folder(record.kind, record.serial)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.channel}-{record.created:%Y%m%dT%H%M%S.%f}.json"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)
    return path


def records_of(kind: str, serial: str) -> list[CalibrationRecord]:
    """All of a specimen, oldest first. Raises BenchError for a file that is none of ours."""
    return sorted((_read(path) for path in _folder(kind, serial).glob("*.json")), key=lambda record: record.created)


def settings_of(monitor: MonitorSettings) -> dict[str, Any]:
    """What a record must agree with."""
    facts: dict[str, Any] = json.loads(monitor.model_dump_json(exclude=set(_PLACE)))
    return facts


class Calibrations:
    """Finds the records of whichever meter a bench opens, and knows afterwards which were used."""

    def __init__(self, settings: MonitorSettings, pinned: Sequence[CalibrationRecord] | None = None) -> None:
        """`pinned`: a run that is resumed goes on with the records it began with, or with none."""
        self._settings = settings
        self._pinned = pinned
        self.used: tuple[CalibrationRecord, ...] = ()
        self.passed_over: tuple[str, ...] = ()
        """why the latest record of a channel was not used"""

    def __call__(self, monitor: PowerMonitor) -> dict[int, Correction]:
        """The corrections of an open monitor, by channel."""
        self.used, self.passed_over = (), ()
        specimen = monitor.specimen
        if specimen is None:
            return {}
        records = self._records(monitor.spec.name, specimen.serial)
        corrections = {}
        for number, channel in enumerate(monitor.spec.channels):
            latest = next((record for record in reversed(records) if record.channel == channel.name), None)
            if latest is None:
                continue
            if self._pinned is None and (reason := self._objection(latest)):
                self.passed_over += (reason,)
                log.warning("%s", reason)
                continue
            self.used += (latest,)
            corrections[number] = latest.correction
        return corrections

    def _records(self, name: str, serial: str) -> list[CalibrationRecord]:
        if self._pinned is None:
            return records_of(self._settings.kind, serial)
        for record in self._pinned:
            if record.serial != serial:
                raise BenchError(
                    f"{name} is specimen {serial}; the run began with {record.serial}, calibrated: attach that one"
                )
        return list(self._pinned)

    def _objection(self, record: CalibrationRecord) -> str | None:
        cure = "the maker's limits count instead; repeat `testbed monitor check`"
        if record.expires < datetime.now(timezone.utc):
            return f"the calibration of {record.kind} {record.serial} expired on {record.expires:%Y-%m-%d}: {cure}"
        here = settings_of(self._settings)
        if other := sorted(key for key in here | record.settings if here.get(key) != record.settings.get(key)):
            return (
                f"the calibration of {record.kind} {record.serial} was made with another monitor.{other[0]} "
                f"({record.settings.get(other[0])!r}): {cure}"
            )
        return None


def _folder(kind: str, serial: str) -> Path:
    return calibrations_folder() / re.sub(r"[^A-Za-z0-9._-]", "_", f"{kind}-{serial}")


def _read(path: Path) -> CalibrationRecord:
    try:
        return CalibrationRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise BenchError(
            f"{path} is no calibration record of format {FORMAT_VERSION} ({str(error).splitlines()[0]}): "
            "move it away, and repeat `testbed monitor check`"
        ) from None
