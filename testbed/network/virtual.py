"""The link of a virtual bench: the virtual board's own radio, told by its agent what the air is like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from testbed.network.conditions import Applied, Condition
from testbed.remote import RemoteAgent


class VirtualLink:
    """Implements `Link`."""

    def __init__(self, agent: RemoteAgent, now_ns: Callable[[], int]) -> None:
        self._agent = agent
        self._now_ns = now_ns

    def apply(self, condition: Condition) -> Applied:
        observed = self._agent.ask("air", condition={k: v for k, v in asdict(condition).items() if k != "source"})
        return Applied(asked=condition, observed=observed, time_ns=self._now_ns())

    def restore(self) -> None:
        """Nothing outlives the agent."""
