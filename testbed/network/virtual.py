"""The link of a virtual bench: the virtual board's own radio, told by its agent what the air is like."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from testbed.network.conditions import Applied, Condition
from testbed.remote import RemoteAgent

_READ_BACK = "read back from the virtual radio"


class VirtualLink:
    """Implements `Link`. What it imposes ends with the agent."""

    targets = ("cloud", "edge")
    labels = ()

    def __init__(self, agent: RemoteAgent, now_ns: Callable[[], int]) -> None:
        self._agent = agent
        self._now_ns = now_ns

    def apply(self, condition: Condition, target: str) -> Applied:
        observed = Condition(**self._agent.ask("air", condition=condition.as_air(), target=target), source=_READ_BACK)
        return Applied(asked=condition, observed=observed, time_ns=self._now_ns())

    def restore(self) -> None:
        """Nothing outlives the agent."""

    def __enter__(self) -> VirtualLink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.restore()
