"""What a look at a bench or a board finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    verdict: Literal["ok", "doubtful", "wrong"]
    detail: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
