"""The link that a bench file names, and where it leads to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from testbed.agent.shaping.filters import Address
from testbed.config import Bench, NetemLinkSettings, VirtualLinkSettings
from testbed.errors import BenchError
from testbed.marks import BoardClock
from testbed.network.conditions import Link
from testbed.network.netem import NetemLink, addresses
from testbed.network.on_board import BoardShaping
from testbed.network.virtual import VirtualLink, Wire, WiredLink, wire
from testbed.remote import RemoteAgent

_FIRST_PORT = 8000
"""of the endpoints in a namespace of their own, where every port is free"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint that this testbed runs is to answer."""

    address: Address
    namespace: str
    """file of the network namespace"""


def _nothing() -> None:
    """Most links need not be told of a new agent."""


@dataclass(frozen=True, slots=True)
class OpenLink:
    """What became of a bench's link."""

    bench: Bench
    """with its link decided on"""
    link: Link | None = None
    places: Mapping[str, Place] = field(default_factory=dict)
    """of the endpoints that have to be where it leads to"""
    begin: Callable[[], None] = _nothing
    """tells an agent that was started anew; raises ShapingError"""


def open_link(bench: Bench, agent: RemoteAgent, board_clock: BoardClock, stack: ExitStack) -> OpenLink:
    """Raises BenchError where the link cannot be had."""
    settings = bench.link
    if settings is None:
        return OpenLink(bench)
    if isinstance(settings, NetemLinkSettings):
        return _netem(bench, settings, agent, board_clock, stack)
    made = stack.enter_context(wire()) if _wants_wire(bench, settings) else ""
    if isinstance(made, Wire):
        ports = enumerate(bench.endpoints, start=_FIRST_PORT)
        places: dict[str, Place] = {name: Place(Address(made.address, port), made.namespace) for port, name in ports}
        paths = {name: [place.address] for name, place in places.items()}
        kernel = NetemLink.on_this_host(made.interface, paths, side="board", owner=_owner(bench))
        wired = stack.enter_context(WiredLink(agent, kernel))
        return OpenLink(_decided(bench, settings, "netem"), wired, places, wired.begin)
    if settings.by == "netem":
        raise BenchError(
            f"the link is to be shaped by this host's kernel (link.by: netem), and cannot: {made}; run as root where "
            "the kernel has netem (sudo modprobe -a ifb sch_netem sch_tbf cls_u32 act_mirred), or begin a run by: model"
        )
    link = VirtualLink(agent, time.monotonic_ns, made)
    return OpenLink(_decided(bench, settings, "model"), stack.enter_context(link))


def _netem(
    bench: Bench, settings: NetemLinkSettings, agent: RemoteAgent, board_clock: BoardClock, stack: ExitStack
) -> OpenLink:
    paths: dict[str, list[Address]] = {
        name: addresses(endpoint.url) for name, endpoint in bench.endpoints.items() if endpoint.url is not None
    }
    interface, owner, replace = settings.interface, _owner(bench), settings.replace
    if settings.at == "board":
        shaping = BoardShaping(agent, board_clock, interface, paths, owner=owner, replace=replace)
        return OpenLink(bench, stack.enter_context(NetemLink(shaping, paths)), begin=shaping.begin)
    link = NetemLink.on_this_host(interface, paths, owner=owner, replace=replace)
    return OpenLink(bench, stack.enter_context(link))


def _wants_wire(bench: Bench, settings: VirtualLinkSettings) -> bool:
    return settings.by == "netem" or (settings.by == "auto" and bench.all_virtual)


def _decided(bench: Bench, settings: VirtualLinkSettings, by: str) -> Bench:
    """A run that is resumed goes on with the link it began with."""
    return bench.model_copy(update={"link": settings.model_copy(update={"by": by})})


def _owner(bench: Bench) -> str:
    return f"bench '{bench.name}'"
