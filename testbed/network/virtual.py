"""The link of a virtual bench: its board's own radio, told what the air is like, and a kernel where it can shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType

from testbed.farend import start_far_end
from testbed.network.conditions import Applied, Condition
from testbed.network.netem import NetemLink
from testbed.remote import RemoteAgent

_READ_BACK = "read back from the virtual radio"
_BY_MODEL = "the way to the endpoints is shaped by the model of the virtual radio"
_BY_KERNEL = (
    "the way to the endpoints is shaped by this host's kernel (netem), the radio's power is modelled; "
    "Opt expects of the endpoints what the model of the radio would do"
)


class VirtualLink:
    """Implements `Link` by the model of the radio. What it imposes ends with the agent."""

    targets = ("cloud", "edge")
    moves_radio = True

    def __init__(self, agent: RemoteAgent, now_ns: Callable[[], int], why_model: str) -> None:
        """`why_model` says why no kernel does it; empty where none was to."""
        self._agent = agent
        self._now_ns = now_ns
        self.labels = (f"{_BY_MODEL}: {why_model}" if why_model else _BY_MODEL,)

    def apply(self, condition: Condition, target: str) -> Applied:
        observed = Condition(**self._agent.ask("air", condition=condition.as_air(), target=target), source=_READ_BACK)
        return Applied(asked=condition, observed=observed, time_ns=self._now_ns())

    def require_held(self) -> None:
        """The model forgets nothing."""

    def restore(self) -> None:
        """Nothing outlives the agent."""

    def __enter__(self) -> VirtualLink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.restore()


class WiredLink:
    """Implements `Link` by this host's kernel; the radio draws what it would at the signal."""

    moves_radio = True
    labels = (_BY_KERNEL,)

    def __init__(self, agent: RemoteAgent, kernel: NetemLink) -> None:
        self._agent = agent
        self._kernel = kernel
        self.targets = kernel.targets

    def apply(self, condition: Condition, target: str) -> Applied:
        """Raises BenchError where the radio has no model of it, or the kernel does not hold it."""
        air = condition.as_air()
        applied = self._kernel.apply(condition, target)
        felt = self._agent.ask("air", condition=air, target=target)
        return replace(applied, observed=replace(applied.observed, rssi_dbm=felt["rssi_dbm"]))

    def require_held(self) -> None:
        self._kernel.require_held()

    def restore(self) -> None:
        self._kernel.restore()

    def begin(self) -> None:
        """Tell the agent, or another one after it."""
        self._agent.ask("air_by_kernel")

    def __enter__(self) -> WiredLink:
        self.begin()
        self._kernel.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._kernel.__exit__(kind, error, traceback)


@dataclass(frozen=True, slots=True)
class Wire:
    """A veth to a network namespace in which the endpoints of a virtual bench run."""

    interface: str
    """this end"""
    address: str
    """of the far end"""
    namespace: str
    """its file"""


@contextmanager
def wire() -> Iterator[Wire | str]:
    """A wire, as long as it lasts; or why there can be none."""
    with start_far_end("testbed.virtual.wire") as far_end:
        ready = dict(far_end.ready)
        yield str(ready["why_not"]) if "why_not" in ready else Wire(**ready)
