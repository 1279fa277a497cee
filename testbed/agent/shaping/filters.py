"""Which packets are shaped: those of an endpoint's address and port, over TCP and UDP, and no others.

A u32 filter for each: of the kernel's classifiers the one most kernels have. Packets with IP options, later fragments
and IPv6 extension headers pass unshaped. Layouts: linux/pkt_cls.h, linux/tc_act/tc_mirred.h.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.agent.shaping.netlink import attribute, attributes, nest, zstring

_U32_SEL, _U32_ACT = 5, 7
_TERMINAL = 1
_SELECTOR = struct.Struct("=BBBxHHhhI")
_KEY = struct.Struct("=4s4sii")
_ACT_KIND, _ACT_OPTIONS, _MIRRED_PARMS = 1, 2, 2
_MIRRED = struct.Struct("=IIiiiiI")
_STOLEN, _EGRESS_REDIRECT = 4, 1
_PROTOCOLS = (socket.IPPROTO_TCP, socket.IPPROTO_UDP)
_ALL = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint's, as it stands in the packets of the shaped interface."""

    host: str
    port: int

    @property
    def ethertype(self) -> int:
        """As the kernel writes a filter's protocol, in the network's byte order."""
        return socket.htons(0x0800 if ip_address(self.host).version == 4 else 0x86DD)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def redirections(address: Address, *, towards: bool, ifindex: int) -> list[bytes]:
    """The options of filters that send an endpoint's packets through the device `ifindex`.

    `towards` tells packets to the endpoint from those that come from it.
    """
    action = nest(
        _U32_ACT,
        nest(
            1,
            attribute(_ACT_KIND, zstring("mirred")),
            nest(
                _ACT_OPTIONS,
                attribute(_MIRRED_PARMS, _MIRRED.pack(0, 0, _STOLEN, 0, 0, _EGRESS_REDIRECT, ifindex)),
            ),
        ),
    )
    return [attribute(_U32_SEL, _selector(address, protocol, towards)) + action for protocol in _PROTOCOLS]


def selector_of(options: bytes) -> bytes:
    """The part of a filter's options that says which packets it takes."""
    selector = attributes(options).get(_U32_SEL, b"")
    return selector[: _SELECTOR.size + selector[2] * _KEY.size] if selector else b""


def _selector(address: Address, protocol: int, towards: bool) -> bytes:
    host = ip_address(address.host)
    port = address.port.to_bytes(2, "big")
    ports, port_mask = (b"\0\0" + port, b"\0\0\xff\xff") if towards else (port + b"\0\0", b"\xff\xff\0\0")
    if host.version == 4:
        keys = [
            (b"\xff\0\0\0", b"\x45\0\0\0", 0),
            (b"\0\0\x1f\xff", b"\0\0\0\0", 4),
            (b"\0\xff\0\0", bytes((0, protocol, 0, 0)), 8),
            (_ALL, host.packed, 16 if towards else 12),
            (port_mask, ports, 20),
        ]
    else:
        at = 24 if towards else 8
        keys = [
            (b"\0\0\xff\0", bytes((0, 0, protocol, 0)), 4),
            *((_ALL, host.packed[i : i + 4], at + i) for i in range(0, 16, 4)),
            (port_mask, ports, 40),
        ]
    head = _SELECTOR.pack(_TERMINAL, 0, len(keys), 0, 0, 0, 0, 0)
    return head + b"".join(_KEY.pack(mask, value, offset, 0) for mask, value, offset in keys)
