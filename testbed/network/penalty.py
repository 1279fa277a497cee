"""What an emulated link cannot cost: the power of a radio at a weak signal, modelled, to stand beside the energy."""

from __future__ import annotations

from testbed.network.conditions import Condition, Standard, condition_at

ACTIVE_W = 1.0
"""What a board's Wi-Fi draws beyond idling while it transfers: this testbed's proposal, not measured."""
STRONG_DBM = -50.0
"""the signal at which the board's own radio is taken to be"""


def radio_penalty_j(request_bytes: int, condition: Condition, standard: Standard) -> float | None:
    """Energy of one inference's request at the signal a condition stands for, less that at a strong one.

    The radio is taken to be active for as long as the request takes at the signal's goodput: energy per bit is then in
    inverse proportion to goodput. None where the condition stands for no signal, and in an outage.
    """
    if condition.rssi_dbm is None or condition.rate_up_bps == 0:
        return None
    strong_bps = condition_at(STRONG_DBM, standard).rate_up_bps
    longer_s = 8 * request_bytes * (1 / condition.rate_up_bps - 1 / strong_bps)
    return max(longer_s, 0.0) * ACTIVE_W
