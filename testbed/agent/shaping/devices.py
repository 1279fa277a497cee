"""One direction of one path in the kernel: an ifb device with its queues, and the filters that lead into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.agent.shaping.filters import Address, redirections, selector_of
from testbed.agent.shaping.netlink import (
    CREATE,
    DELLINK,
    DELQDISC,
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
    Request,
    Rtnetlink,
    TrafficControl,
    attribute,
    link_request,
    nest,
    tc_request,
    traffic_control,
    zstring,
)
from testbed.agent.shaping.queues import netem_options, read_shape, tbf_options
from testbed.agent.shaping.shape import Mismatch, Shape, require_same

ROOT = 0xFFFFFFFF
CLSACT_PARENT = 0xFFFFFFF1
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
"""the two sides of clsact (linux/pkt_sched.h: TC_H_MIN_INGRESS, TC_H_MIN_EGRESS)"""
_CLSACT_HANDLE = 0xFFFF0000
_TBF_HANDLE, _NETEM_PARENT, _NETEM_HANDLE = 0x10000, 0x10001, 0x100000


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


def make_device(kernel: Rtnetlink, name: str, mtu: int) -> int:
    """An ifb that is up; returns its index."""
    parts = (
        attribute(IFLA_IFNAME, zstring(name)),
        attribute(IFLA_MTU, mtu.to_bytes(4, "little")),
        nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, zstring("ifb"))),
    )
    kernel.ask([link_request(NEWLINK, f"make the device {name}", *parts, up=True, flags=CREATE | EXCLUSIVE)])
    made = kernel.interface(name)
    if made is None:
        raise Mismatch(f"the device {name} was made, and is not there")
    return made.index


def remove_device(kernel: Rtnetlink, name: str) -> None:
    """Delete it, with all that is queued in it."""
    kernel.ask([link_request(DELLINK, f"delete the device {name}", attribute(IFLA_IFNAME, zstring(name)))])


def tbf_request(index: int, device: str, mtu: int, shape: Shape, flags: int) -> Request:
    """Sets the rate."""
    options = nest(TCA_OPTIONS, tbf_options(shape, mtu))
    kind = attribute(TCA_KIND, zstring("tbf"))
    return tc_request(NEWQDISC, f"set the rate of {device}", index, _TBF_HANDLE, ROOT, kind, options, flags=flags)


def netem_request(index: int, device: str, shape: Shape, flags: int) -> Request:
    """Sets all but the rate."""
    # Not marked as nested: netem's options begin with a fixed structure.
    parts = attribute(TCA_KIND, zstring("netem")), attribute(TCA_OPTIONS, netem_options(shape))
    what = f"set delay and loss of {device}"
    return tc_request(NEWQDISC, what, index, _NETEM_HANDLE, _NETEM_PARENT, *parts, flags=flags)


def read_back(echoes: Sequence[bytes], device: str, asked: Shape) -> Shape:
    """What the kernel says a device's queues now hold. Raises Mismatch where that is not what was asked."""
    options = [traffic_control(echo).options for echo in echoes]
    netem = options[1] if len(options) > 1 else None
    observed = read_shape(options[0], netem, asked)
    require_same(asked, observed, device, rate_only=netem is None)
    return observed


def clsact_request(kind: int, interface: Interface) -> Request:
    """Makes (NEWQDISC) or removes (DELQDISC) the place of an interface's filters, with all that are in it."""
    what, flags = ("make room for filters on", CREATE | EXCLUSIVE) if kind == NEWQDISC else ("take the filters off", 0)
    parts = attribute(TCA_KIND, zstring("clsact"))
    what = f"{what} {interface.name}"
    return tc_request(kind, what, interface.index, _CLSACT_HANDLE, CLSACT_PARENT, parts, flags=flags)


def removal(interface: Interface, qdisc: TrafficControl) -> Request:
    """Takes a queue with all below it off an interface; the kernel puts its default in the place of a root."""
    what = f"take the queue {qdisc.kind} off {interface.name}"
    return tc_request(DELQDISC, what, interface.index, qdisc.handle, qdisc.parent)


def lead_into(kernel: Rtnetlink, direction: Direction, addresses: Sequence[Address], device_index: int) -> None:
    """Add the filters of a direction. Raises Mismatch where the kernel holds others than were added."""
    requests, wanted = [], []
    for place, address in enumerate(addresses):
        for options in redirections(address, towards=direction.towards, ifindex=device_index):
            wanted.append(selector_of(options))
            requests.append(
                tc_request(
                    NEWFILTER,
                    f"filter {address} on {direction.interface.name}",
                    direction.interface.index,
                    0,
                    direction.hook,
                    attribute(TCA_KIND, zstring("u32")),
                    nest(TCA_OPTIONS, options),
                    info=(direction.preference + place) << 16 | address.ethertype,
                    flags=CREATE | EXCLUSIVE,
                )
            )
    held = [selector_of(traffic_control(echo).options) for echo in kernel.ask(requests)]
    if held != wanted:
        raise Mismatch(f"{direction.interface.name} does not hold the filters it was told to")
