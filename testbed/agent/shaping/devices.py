"""One direction of one path in the kernel: an ifb device with its queues, and the filters that lead into it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from testbed.agent.shaping.filters import Address, redirections, selector_of
from testbed.agent.shaping.netlink import (
    CREATE,
    EXCLUSIVE,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MTU,
    NEWFILTER,
    NEWLINK,
    NEWQDISC,
    TCA_KIND,
    TCA_OPTIONS,
    Interface,
    KernelRefusal,
    Request,
    Rtnetlink,
    TrafficControl,
    attribute,
    attributes,
    link_request,
    nest,
    tc_request,
    traffic_control,
    zstring,
)
from testbed.agent.shaping.queues import netem_options, read_shape, tbf_options
from testbed.agent.shaping.shape import Mismatch, Shape, require_same

_ROOT = 0xFFFFFFFF
_CLSACT, CLSACT_PARENT, CLSACT_HANDLE = "clsact", 0xFFFFFFF1, 0xFFFF0000
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
"""the two sides of clsact (linux/pkt_sched.h: TC_H_MIN_INGRESS, TC_H_MIN_EGRESS)"""
_TBF_HANDLE, _NETEM_PARENT, _NETEM_HANDLE = 0x10000, 0x10001, 0x100000


class ShapingError(Exception):
    """Nothing can be shaped here; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class Direction:
    """Where one direction of a path runs."""

    interface: Interface
    device: str
    """name of its ifb"""
    hook: int
    """INGRESS or EGRESS of the interface"""
    towards: bool
    """whether its packets go to the endpoint, or come from it"""
    preference: int
    """of its first filter; the interface's filters are tried in this order"""


def changes(index: int, device: str, mtu: int, shape: Shape, *, netem: bool, create: bool = False) -> list[Request]:
    """The requests that give a device's queues a shape."""
    flags = CREATE | EXCLUSIVE if create else 0
    requests = [
        tc_request(
            NEWQDISC,
            f"set the rate of {device}",
            index,
            _TBF_HANDLE,
            _ROOT,
            attribute(TCA_KIND, zstring("tbf")),
            nest(TCA_OPTIONS, tbf_options(shape, mtu)),
            flags=flags,
        )
    ]
    if netem:
        requests.append(
            tc_request(
                NEWQDISC,
                f"set delay and loss of {device}",
                index,
                _NETEM_HANDLE,
                _NETEM_PARENT,
                attribute(TCA_KIND, zstring("netem")),
                # Not nested: netem's options begin with a fixed structure.
                attribute(TCA_OPTIONS, netem_options(shape)),
                flags=flags,
            )
        )
    return requests


def read_back(echoes: Sequence[bytes], device: str, asked: Shape) -> Shape:
    """What the kernel says the queues now hold. Raises Mismatch where that is not what was asked."""
    options = [traffic_control(echo).options for echo in echoes]
    observed = read_shape(options[0], options[1] if len(options) > 1 else None, asked)
    require_same(asked, observed, device, rate_only=len(options) == 1)
    return observed


def make_device(kernel: Rtnetlink, name: str, mtu: int) -> int:
    """An ifb that is up; returns its index."""
    kernel.ask(
        [
            link_request(
                NEWLINK,
                f"make the device {name}",
                attribute(IFLA_IFNAME, zstring(name)),
                attribute(IFLA_MTU, mtu.to_bytes(4, "little")),
                nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, zstring("ifb"))),
                up=True,
                flags=CREATE | EXCLUSIVE,
            )
        ]
    )
    return next(found.index for found in kernel.interfaces() if found.name == name)


def clsact_request(kind: int, index: int, name: str, flags: int = 0) -> Request:
    """About the place of an interface's filters."""
    what = f"make room for filters on {name}"
    return tc_request(
        kind, what, index, CLSACT_HANDLE, CLSACT_PARENT, attribute(TCA_KIND, zstring(_CLSACT)), flags=flags
    )


def lead_into(kernel: Rtnetlink, direction: Direction, addresses: Sequence[Address], device_index: int) -> None:
    """Add the filters of a direction. Raises Mismatch where the kernel holds others than were added."""
    requests, wanted = [], []
    for place, address in enumerate(addresses):
        for packed in redirections(address, towards=direction.towards, ifindex=device_index):
            wanted.append(selector_of(attributes(attributes(b"".join(packed))[TCA_OPTIONS])))
            requests.append(
                tc_request(
                    NEWFILTER,
                    f"filter {address} on {direction.interface.name}",
                    direction.interface.index,
                    0,
                    direction.hook,
                    *packed,
                    info=(direction.preference + place) << 16 | address.ethertype,
                    flags=CREATE | EXCLUSIVE,
                )
            )
    held = [selector_of(attributes(traffic_control(echo).options)) for echo in kernel.ask(requests)]
    if held != wanted:
        raise Mismatch(f"{direction.interface.name} does not hold the filters it was told to")
