"""An arena as plain values, for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from results.arena.analysis import ArenaAnalysis, Behind
from results.arena.paper import FIGURES
from results.arena.records import ArenaRecords
from results.records import Facts


def as_json(records: ArenaRecords, analysis: ArenaAnalysis, behind: Sequence[Behind]) -> Facts:
    """Every figure; what is infinite (a policy that never settles) or unknown is null."""
    found: Facts = _plain(
        {
            "experiment": records.header.experiment,
            "provenance": records.header.provenance,
            "paper": [{"name": each.name, "value": each.paper, "mark": each.mark} for each in FIGURES],
            "rows": [asdict(row) for row in analysis.rows],
            "shifts": [asdict(shift) for shift in analysis.shifts],
            "behind": [asdict(each) for each in behind],
        }
    )
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
