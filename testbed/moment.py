"""What surrounds a board."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.network.conditions import Condition


@dataclass(frozen=True, slots=True)
class Moment:
    """What surrounds the board during one trial."""

    co_cpu: float
    """load of the co-runner, 0..1"""
    co_memory: float
    rssi_dbm: float
    """towards the cloud"""
    peer_rssi_dbm: float
    """towards the connected edge device"""
    throttled: bool = False
    cloud: Condition | None = None
    """the path to the cloud, as a trace has it; None: that of such a signal"""
