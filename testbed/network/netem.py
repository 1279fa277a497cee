"""The link of a real bench: the kernel's own queues on an interface, at the endpoint, on the way, or on the board."""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Literal, Protocol
from urllib.parse import urlsplit

from testbed.agent.shaping.filters import Address
from testbed.agent.shaping.shape import Shape
from testbed.agent.shaping.shaper import Shaper, Side
from testbed.agent.shaping.survey import ShapingError, how_to_install
from testbed.agent.targets.terms import PORTS
from testbed.errors import BenchError
from testbed.network.conditions import Applied, Condition
from testbed.network.shapes import observed, shapes

_log = logging.getLogger(__name__)

Place = Literal["endpoint", "router", "board"]
_READ_BACK = "read back from the kernel"
RADIO_LABEL = (
    "the link is emulated (netem): transfers are as slow as at the signal named, but the radio itself works at its own "
    "signal, and the power it would draw at a weak one is not in the energy"
)
RATE_ONLY_LABEL = (
    "the kernel that shapes the link lacks netem: rates are as asked, delay, jitter and loss are those of the real path"
)


class Shaping(Protocol):
    """What shapes, here or on the board."""

    netem: bool

    def shape(self, target: str, up: Shape, down: Shape) -> tuple[Shape, Shape, int]: ...

    def require_held(self) -> None: ...

    def restore(self) -> None: ...

    def __enter__(self) -> Shaping: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class NetemLink:
    """Implements `Link` on a network interface."""

    moves_radio = False

    def __init__(self, shaping: Shaping, targets: Collection[str]) -> None:
        self._shaping = shaping
        self.targets = tuple(targets)

    @classmethod
    def on_this_host(
        cls,
        interface: str,
        paths: Mapping[str, Sequence[Address]],
        *,
        side: Side = "endpoint",
        replace: bool = False,
        owner: str = "a program",
    ) -> NetemLink:
        """Shape an interface of this machine: one that looks towards the board ("endpoint"), or the board's own.

        `paths` holds the addresses of each remote target. `replace` takes away what somebody built there by hand.
        """
        return cls(Shaper(interface, side, paths, owner=owner, replace=replace), paths)

    @property
    def labels(self) -> tuple[str, ...]:
        """What a reader of results made under it must know."""
        return (RADIO_LABEL,) if self._shaping.netem else (RADIO_LABEL, RATE_ONLY_LABEL)

    def apply(self, condition: Condition, target: str) -> Applied:
        """Impose a condition, both ways in one go. Raises BenchError where the kernel does not hold it."""
        if target not in self.targets:
            raise BenchError(f"the link has no path to '{target}'; it has one to {', '.join(self.targets)}")
        up, down = shapes(condition)
        try:
            up_held, down_held, time_ns = self._shaping.shape(target, up, down)
        except ShapingError as error:
            raise BenchError(f"the link: {error}") from None
        return Applied(condition, observed(condition, up_held, down_held, _READ_BACK), time_ns)

    def require_held(self) -> None:
        """Raises BenchError where the interface was given back."""
        try:
            self._shaping.require_held()
        except ShapingError as error:
            raise BenchError(f"the link: {error}") from None

    def restore(self) -> None:
        """Leave the interface as it was found. Raises BenchError where that fails."""
        try:
            self._shaping.restore()
        except ShapingError as error:
            raise BenchError(f"the link: {error}") from None

    def __enter__(self) -> NetemLink:
        try:
            self._shaping.__enter__()
        except ShapingError as error:
            raise BenchError(f"the link: {error}") from None
        if not self._shaping.netem:
            _log.warning("the link: %s; to have it: %s", RATE_ONLY_LABEL, how_to_install("sch_netem"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._shaping.__exit__(kind, error, traceback)
        except ShapingError as trouble:
            raise BenchError(f"the link: {trouble}") from None


def addresses(url: str) -> list[Address]:
    """Where an endpoint answers, of both families. Raises BenchError for a name that leads nowhere."""
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BenchError(f"{url}: its address cannot be found: {error}") from None
    return [Address(host, port) for host in dict.fromkeys(str(entry[4][0]) for entry in found)]
