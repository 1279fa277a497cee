"""What surrounds a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from testbed.network.conditions import Condition


@dataclass(frozen=True, slots=True)
class Moment:
    """What surrounds the board during one trial."""

    co_cpu: float
    """load of the co-runner, 0..1 of the cores it runs on"""
    co_memory: float
    rssi_dbm: float
    """towards the cloud"""
    peer_rssi_dbm: float
    """towards the connected edge device"""
    throttled: bool = False
    cloud: Condition | None = None
    """the path to the cloud, as a trace has it; None: that of such a signal"""
    co_cores: tuple[int, ...] = ()
    """that the co-runner is pinned to; empty: all"""
    co_nice: int = 0
    co_command: tuple[str, ...] = ()
    """the co-runner, where it is a program: what load it makes is then its own affair"""

    @property
    def co_runs(self) -> bool:
        """Whether anything does."""
        return bool(self.co_cpu or self.co_memory or self.co_command)

    def co_runner(self) -> dict[str, Any]:
        """In plain values, as a board's agent is asked for it; pinning and priority where they are asked for."""
        wanted: dict[str, Any] = {"cpu": self.co_cpu, "memory": self.co_memory}
        if self.co_command:
            wanted = {"command": list(self.co_command)}
        if self.co_cores:
            wanted["cores"] = list(self.co_cores)
        if self.co_nice:
            wanted["nice"] = self.co_nice
        return wanted
