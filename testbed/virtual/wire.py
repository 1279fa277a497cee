"""`python -m testbed.virtual.wire`: a network namespace for a virtual bench's endpoints, and a veth that leads there.

Prints `{"interface": near end, "address": far end's, "namespace": file}`, or `{"why_not": reason}` where this kernel
cannot shape such a wire or this process may not have one. Namespace and veth go when it ends, which it does with its
stdin, and the last server in the namespace has ended.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agent.shaping.netlink import (
    CREATE,
    EXCLUSIVE,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    NEWLINK,
    Interface,
    KernelRefusal,
    Request,
    Rtnetlink,
    attribute,
    link_request,
    nest,
    zstring,
)
from testbed.agent.shaping.survey import ShapingError, has_netem
from testbed.virtual.namespace import leave

_NEWADDR, _NEWROUTE = 20, 24
_IFLA_NET_NS_PID, _IFLA_INFO_DATA, _VETH_INFO_PEER = 19, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_METRICS, _RTAX_QUICKACK = 1, 4, 8, 15
_MAIN_TABLE, _STATIC, _SCOPE_LINK, _UNICAST = 254, 4, 253, 1
"""linux/rtnetlink.h, if_link.h, if_addr.h, veth.h"""
_FAR = "tb0"
_NETS, _NETS_COUNT, _NET_BITS = int(IPv4Address("198.18.0.0")), 1 << 15, 2
"""of the block for benchmarks (RFC 2544): a network of two addresses for each veth, by its index"""


@dataclass(frozen=True)
class _End:
    kernel: Rtnetlink
    interface: Interface
    address: IPv4Address

    def set_up(self) -> None:
        packed = self.address.packed
        head = bytes((socket.AF_INET, 32 - _NET_BITS, 0, 0)) + self.interface.index.to_bytes(4, sys.byteorder)
        address = head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        name, index = self.interface.name, self.interface.index
        self.kernel.ask(
            [
                Request(_NEWADDR, CREATE | EXCLUSIVE, address, f"give {name} the address {self.address}"),
                link_request(NEWLINK, f"set {name} up", index=index, up=True),
            ]
        )

    def acknowledge_at_once(self, peer: IPv4Address) -> None:
        """The radio at the other end tells by acknowledgements when its bytes have left: they must not be put off."""
        head = bytes((socket.AF_INET, 32, 0, 0, _MAIN_TABLE, _STATIC, _SCOPE_LINK, _UNICAST)) + bytes(4)
        parts = (
            attribute(_RTA_DST, peer.packed),
            attribute(_RTA_OIF, self.interface.index.to_bytes(4, sys.byteorder)),
            nest(_RTA_METRICS, attribute(_RTAX_QUICKACK, (1).to_bytes(4, sys.byteorder))),
        )
        self.kernel.ask([Request(_NEWROUTE, CREATE | EXCLUSIVE, head + b"".join(parts), f"lead the way to {peer}")])


def _wire(near_kernel: Rtnetlink, far_kernel: Rtnetlink) -> tuple[_End, _End]:
    """A veth between the namespaces of two sockets, the far one this process's own."""
    name = f"tbw{os.getpid()}"
    peer = attribute(_IFLA_NET_NS_PID, os.getpid().to_bytes(4, sys.byteorder))
    peer = bytes(16) + attribute(IFLA_IFNAME, zstring(_FAR)) + peer
    info = (
        attribute(IFLA_INFO_KIND, zstring("veth")),
        nest(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, peer)),
    )
    parts = attribute(IFLA_IFNAME, zstring(name)), nest(IFLA_LINKINFO, *info)
    near_kernel.ask([link_request(NEWLINK, "make a veth", *parts, flags=CREATE | EXCLUSIVE)])
    near, far = near_kernel.interface(name), far_kernel.interface(_FAR)
    assert near is not None
    assert far is not None
    net = _NETS + (near.index % _NETS_COUNT << _NET_BITS)
    return _End(near_kernel, near, IPv4Address(net + 1)), _End(far_kernel, far, IPv4Address(net + 2))


def main() -> None:
    """Print the ready line; live until stdin ends."""
    with Rtnetlink() as near_kernel:
        try:
            leave()
            with Rtnetlink() as far_kernel:
                if not has_netem(far_kernel, "tbprobe"):
                    raise ShapingError("this kernel lacks sch_netem")
                near, far = _wire(near_kernel, far_kernel)
                for end in (near, far):
                    end.set_up()
                far.acknowledge_at_once(near.address)
        except (ShapingError, KernelRefusal, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            _say({"why_not": str(reason)})
            return
    _say(
        {
            "interface": near.interface.name,
            "address": str(far.address),
            "namespace": f"/proc/{os.getpid()}/ns/net",
        }
    )
    sys.stdin.buffer.read()


def _say(line: dict[str, str]) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201 - the ready line


if __name__ == "__main__":
    main()
