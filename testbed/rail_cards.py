"""Rail-to-meter cards on file: what a board's own sensors were found to be off by, and when and how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from power import RailCard
from testbed.config.loader import Strict
from testbed.errors import BenchError

FORMAT_VERSION = 1
LIFETIME = timedelta(days=180)
"""this testbed's choice, as of a power model"""


_CURE = "make another by `testbed calibrate --rails`, or leave monitor.card out"


class CardRecord(Strict):
    """Of one board's sensors. A card holds for the settings they were read with."""

    format: str = Field(default="rail-card", pattern="^rail-card$")
    format_version: int = Field(default=FORMAT_VERSION, ge=FORMAT_VERSION, le=FORMAT_VERSION)
    board_model: str
    board_serial: str
    provenance: str
    created: AwareDatetime
    expires: AwareDatetime
    rails: dict[str, Any]
    """settings of the monitor"""
    meter: str
    supply_voltage_v: float
    temperature_c: float | None
    card: dict[str, Any]
    """the fields of `power.RailCard`"""

    @property
    def fitted(self) -> RailCard:
        """What it says."""
        return TypeAdapter(RailCard).validate_python(self.card)

    def require_board(self, identity: Mapping[str, Any], path: Path) -> None:
        """Raises BenchError for another board than the one it was made for."""
        if (identity["model"], identity["serial"]) != (self.board_model, self.board_serial):
            raise BenchError(
                f"monitor.card: {path} is of the board {self.board_model} {self.board_serial}, and this is "
                f"{identity['model']} {identity['serial']}; {_CURE}"
            )

    def __str__(self) -> str:
        card = self.fitted
        return (
            f"rail card of {self.board_model}, {self.created:%Y-%m-%d}, against {self.meter}: gain {card.gain:+.2%} ± "
            f"{card.gain_standard_uncertainty:.2%}, offset {card.offset_w:+.3g} ± "
            f"{card.offset_standard_uncertainty_w:.2g} W, {card.delay_s * 1e3:.3g} ± "
            f"{card.delay_standard_uncertainty_s * 1e3:.2g} ms late, {card.held_out_error:.2%} off on held-out loads; "
            f"expires {self.expires:%Y-%m-%d}"
        )


def write(record: CardRecord, path: Path) -> None:
    """Put a card in place, whole."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


def record_of(card: RailCard, **circumstances: Any) -> CardRecord:
    """A record of a card that was fitted just now."""
    now = datetime.now(timezone.utc)
    facts = json.loads(json.dumps(asdict(card)))
    return CardRecord(created=now, expires=now + LIFETIME, card=facts, **circumstances)


def read(path: Path, rails: dict[str, Any]) -> CardRecord:
    """The card for sensors read with these settings. Raises BenchError for one that does not hold for them, or now."""
    try:
        record = CardRecord.model_validate_json(path.read_text(encoding="utf-8"))
        record.fitted  # noqa: B018 - what is wrong with it is to show now
    except OSError as error:
        raise BenchError(f"monitor.card: {path} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError) as error:
        raise BenchError(f"monitor.card: {path} is no rail card ({str(error).splitlines()[0]}); {_CURE}") from None
    if record.expires < datetime.now(timezone.utc):
        raise BenchError(f"monitor.card: {path} expired on {record.expires:%Y-%m-%d}; {_CURE}")
    if other := sorted(key for key in rails | record.rails if rails.get(key) != record.rails.get(key)):
        raise BenchError(f"monitor.card: {path} was made with another monitor.{other[0]}; {_CURE}")
    return record
