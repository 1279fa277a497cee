"""A routing netlink socket: requests packed, sent together, answered one by one (man 7 netlink, rtnetlink).

Own code, and not a library's, because it runs on the board, where nothing can be installed, and because a change of
condition is to be one system call.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWQDISC, DELQDISC, GETQDISC = 36, 37, 38
NEWFILTER = 44
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _ECHO, _DUMP = 0x1, 0x4, 0x8, 0x300
CREATE, EXCLUSIVE = 0x400, 0x200
NESTED = 0x8000

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_TC = struct.Struct("=BxxxiIII")
_PATIENCE_S = 5.0
"""the kernel answers while the request is being sent; longer means something else is wrong"""

IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_INFO_KIND = 3, 4, 18, 1
TCA_KIND, TCA_OPTIONS = 1, 2
IFF_UP = 0x1

Attributes = Mapping[int, bytes]


class KernelRefusal(OSError):
    """The kernel refused a request; `errno` says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One message to the kernel."""

    kind: int
    flags: int
    body: bytes
    what: str
    """as it stands in messages: "add the queue tbf to tb2u0\""""


@dataclass(frozen=True, slots=True)
class TrafficControl:
    """A qdisc or a filter, as the kernel tells it."""

    ifindex: int
    handle: int
    parent: int
    attributes: Attributes

    @property
    def kind(self) -> str:
        """Such as "tbf"."""
        return text(self.attributes[TCA_KIND])

    @property
    def options(self) -> bytes:
        """As its kind packs them."""
        return self.attributes.get(TCA_OPTIONS, b"")


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface."""

    index: int
    name: str
    mtu: int
    kind: str
    """of a virtual device, such as "ifb"; empty for others"""


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    """Attributes within an attribute."""
    return attribute(kind | NESTED, b"".join(attributes))


def zstring(value: str) -> bytes:
    """A text, ended by a zero byte."""
    return value.encode() + b"\0"


def text(value: bytes) -> str:
    """The inverse of `zstring`."""
    return value.rstrip(b"\0").decode()


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by their kind, the last of each. Raises ValueError where lengths do not fit."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            raise ValueError(f"an attribute of {length} bytes in {len(data)}")
        found[kind & 0x3FFF] = data[_ATTRIBUTE.size : length]
        data = data[length + -length % 4 :]
    return found


def link_request(kind: int, what: str, *attributes: bytes, index: int = 0, up: bool = False, flags: int = 0) -> Request:
    """About a network device."""
    state = IFF_UP if up else 0
    return Request(kind, flags, _LINK.pack(0, 0, index, state, state) + b"".join(attributes), what)


def tc_request(
    kind: int, what: str, index: int, handle: int, parent: int, *attributes: bytes, info: int = 0, flags: int = 0
) -> Request:
    """About a qdisc or a filter."""
    return Request(kind, flags, _TC.pack(0, index, handle, parent, info) + b"".join(attributes), what)


class Rtnetlink:
    """One open socket. A context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_PATIENCE_S)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Twice does no harm."""
        self._socket.close()

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, requests: Sequence[Request]) -> list[bytes]:
        """Send requests in one system call; returns what each left behind, as the kernel then describes it.

        Raises KernelRefusal for the first that failed; the kernel has tried those after it all the same.
        """
        first = self._sequence + 1
        self._send([(request, request.flags | _REQUEST | _ACK | _ECHO) for request in requests])
        echoes: list[bytes] = [b""] * len(requests)
        refusal: KernelRefusal | None = None
        awaited = len(requests)
        for kind, sequence, body in self._messages():
            place = sequence - first
            if not 0 <= place < len(requests):
                continue
            if kind != _ERROR:
                echoes[place] = body
                continue
            awaited -= 1
            code = -int.from_bytes(body[:4], "little", signed=True)
            if code and refusal is None:
                refusal = KernelRefusal(code, f"cannot {requests[place].what}: {os.strerror(code)}")
            if not awaited:
                break
        if refusal is not None:
            raise refusal
        return echoes

    def interfaces(self) -> list[Interface]:
        """Every interface of this network namespace."""
        found = []
        for body in self._dump(link_request(GETLINK, "list the interfaces")):
            _, _, index, _, _ = _LINK.unpack_from(body)
            known = attributes(body[_LINK.size :])
            info = attributes(known.get(IFLA_LINKINFO, b""))
            mtu = int.from_bytes(known[IFLA_MTU], "little")
            found.append(Interface(index, text(known[IFLA_IFNAME]), mtu, text(info.get(IFLA_INFO_KIND, b""))))
        return found

    def interface(self, name: str) -> Interface | None:
        """The one of that name."""
        return next((found for found in self.interfaces() if found.name == name), None)

    def qdiscs(self, index: int) -> list[TrafficControl]:
        """Every qdisc on an interface."""
        dump = self._dump(tc_request(GETQDISC, "list the queues", index, 0, 0))
        return [qdisc for qdisc in map(traffic_control, dump) if qdisc.ifindex == index]

    def _dump(self, request: Request) -> Iterator[bytes]:
        self._send([(request, _REQUEST | _DUMP)])
        wanted = self._sequence
        for kind, sequence, body in self._messages():
            if sequence != wanted:
                continue
            if kind in (_DONE, _ERROR):
                return
            yield body

    def _send(self, requests: Sequence[tuple[Request, int]]) -> None:
        packed = []
        for request, flags in requests:
            self._sequence += 1
            packed.append(_HEADER.pack(_HEADER.size + len(request.body), request.kind, flags, self._sequence, 0))
            packed.append(request.body)
            packed.append(bytes(-len(request.body) % 4))
        self._socket.send(b"".join(packed))

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        while True:
            data = self._socket.recv(1 << 18)
            while data:
                length, kind, _, sequence, _ = _HEADER.unpack_from(data)
                yield kind, sequence, data[_HEADER.size : length]
                data = data[length + -length % 4 :]


def traffic_control(body: bytes) -> TrafficControl:
    """A qdisc or filter from the body of its message."""
    _, index, handle, parent, _ = _TC.unpack_from(body)
    return TrafficControl(index, handle, parent, attributes(body[_TC.size :]))
