"""Whether packets to an address leave by an interface: shaping another one would measure nothing."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from testbed.agent.shaping.filters import Address
from testbed.agent.shaping.netlink import KernelRefusal, Request, Rtnetlink, attribute, attributes
from testbed.errors import BenchError

_GET_ROUTE, _DESTINATION, _OUT_BY = 26, 1, 4
"""RTM_GETROUTE, RTA_DST, RTA_OIF (linux/rtnetlink.h)"""
_ROUTE = struct.Struct("=BBBBBBBBI")
_FAMILY = {4: 2, 6: 10}


def require_route(interface: str, address: Address) -> None:
    """Raises BenchError where there is no interface of that name, or packets to the address take another way."""
    with Rtnetlink() as kernel:
        names = {found.index: found.name for found in kernel.interfaces()}
        if interface not in names.values():
            raise BenchError(f"there is no network interface '{interface}'; there are: {', '.join(names.values())}")
        host = ip_address(address.host)
        head = _ROUTE.pack(_FAMILY[host.version], host.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
        asked = Request(_GET_ROUTE, 0, head + attribute(_DESTINATION, host.packed), f"find a route to {address.host}")
        try:
            (answer,) = kernel.ask([asked])
        except KernelRefusal as refusal:
            raise BenchError(f"{refusal.strerror}; bring the network up (ip route get {address.host})") from None
    taken = names.get(int.from_bytes(attributes(answer[_ROUTE.size :]).get(_OUT_BY, b""), "little"), "another one")
    if taken != interface:
        raise BenchError(f"packets to {address} leave by the interface {taken}, not by {interface}: shape that one")
