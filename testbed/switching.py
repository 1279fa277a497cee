"""What a change of clocks cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.marks import BoardClock
from testbed.meter import Meter


def with_cost(observed: Mapping[str, Any], meter: Meter | None, clock: BoardClock) -> dict[str, Any]:
    """What a board told of a trial, with the energy of the change before it in the place of when that was.

    None where nothing was changed, or nothing metered.
    """
    told = dict(observed)
    switched_ns, cost = told.pop("switch_ns"), None
    if switched_ns is not None and meter is not None:
        cost = meter.energy_of(clock.place(*switched_ns))
    told["switch_energy_j"] = cost.energy_j if cost else None
    told["switch_standard_uncertainty_j"] = cost.standard_uncertainty_j if cost else None
    return told
