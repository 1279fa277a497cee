"""The signal a board's Wi-Fi receives: from nl80211, else from /proc/net/wireless. Neither needs root.

Numbers of messages and attributes are those of linux/netlink.h, linux/genetlink.h and linux/nl80211.h.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from testbed.agent.shaping.netlink import Attributes, attribute, attributes, zstring

_GENERIC = 16
"""NETLINK_GENERIC"""
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_GET_INTERFACE, _GET_STATION = 5, 17
_INTERFACE_INDEX, _INTERFACE_NAME, _INTERFACE_TYPE, _STATION_INFO = 3, 4, 5, 21
_TYPE_STATION = 2
"""NL80211_IFTYPE_STATION: a client of an access point"""
_SIGNAL, _SIGNAL_AVERAGE = 7, 13
"""NL80211_STA_INFO_SIGNAL of the last frame, _SIGNAL_AVG: dBm, one signed byte each"""
_HEADER, _GENERIC_HEADER = struct.Struct("=IHHII"), struct.Struct("=BBH")
_BUFFER_BYTES = 1 << 16
_TIMEOUT_S = 1.0


def open_generic_netlink() -> socket.socket:
    """A socket to the kernel. Raises OSError where it has no generic netlink."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC)


def rssi_dbm(
    wireless: Path, open_netlink: Callable[[], socket.socket] | None, interface: str | None = None
) -> float | None:
    """The signal from the access point, averaged by the driver where it does; None where there is no Wi-Fi connection.

    `wireless` is /proc/net/wireless, which is read where `open_netlink` is None or nl80211 has nothing to tell.
    `interface` is the one that counts ("wlan0"); absent: the first that is connected.
    """
    if open_netlink is not None:
        try:
            with open_netlink() as kernel:
                kernel.settimeout(_TIMEOUT_S)
                if (told := _from_nl80211(kernel, interface)) is not None:
                    return told
        except (OSError, ValueError, struct.error):
            pass  # no nl80211 here: the older interface may still tell
    return _from_proc(wireless, interface)


def _from_nl80211(kernel: socket.socket, only: str | None) -> float | None:
    name = attribute(_FAMILY_NAME, zstring("nl80211"))
    families = [_number(family, _FAMILY_ID) for family in _ask(kernel, _CONTROL, _GET_FAMILY, name, _REQUEST)]
    for nl80211 in families:
        for interface in _ask(kernel, nl80211, _GET_INTERFACE, b"", _REQUEST | _DUMP):
            # Other types have no station, or many.
            if _number(interface, _INTERFACE_TYPE) != _TYPE_STATION:
                continue
            if only is not None and interface.get(_INTERFACE_NAME, b"").rstrip(b"\0") != only.encode():
                continue
            which = attribute(_INTERFACE_INDEX, interface.get(_INTERFACE_INDEX, b""))
            for station in _ask(kernel, nl80211, _GET_STATION, which, _REQUEST | _DUMP):
                told = attributes(station.get(_STATION_INFO, b""))
                for kind in (_SIGNAL_AVERAGE, _SIGNAL):
                    if len(told.get(kind, b"")) == 1:
                        return float(int.from_bytes(told[kind], sys.byteorder, signed=True))
    return None


def _number(told: Attributes, kind: int) -> int:
    """Of one attribute; 0, which the kernel gives to nothing, where it is missing."""
    return int.from_bytes(told.get(kind, b""), sys.byteorder)


def _ask(kernel: socket.socket, family: int, command: int, body: bytes, flags: int) -> list[Attributes]:
    """The attributes of every message of the kernel's answer. Raises OSError when it refuses."""
    payload = _GENERIC_HEADER.pack(command, 1, 0) + body
    kernel.send(_HEADER.pack(_HEADER.size + len(payload), family, flags, command, 0) + payload)
    answer: list[Attributes] = []
    while True:
        for kind, content in _messages(kernel.recv(_BUFFER_BYTES)):
            if kind == _DONE:
                return answer
            if kind == _ERROR:
                raise OSError(-struct.unpack_from("=i", content)[0], "nl80211 refuses")
            answer.append(attributes(content[_GENERIC_HEADER.size :]))
        if not flags & _DUMP:
            return answer


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    while datagram:
        length, kind, _, _, _ = _HEADER.unpack_from(datagram)
        if not _HEADER.size <= length <= len(datagram):
            raise ValueError(f"a message of {length} bytes in a datagram of {len(datagram)}")
        yield kind, datagram[_HEADER.size : length]
        datagram = datagram[length + -length % 4 :]


def _from_proc(wireless: Path, only: str | None) -> float | None:
    """The level column of the first interface; drivers that tell no dBm there, but a share of some most, tell none."""
    try:
        lines = wireless.read_text().splitlines()[2:]
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.partition(":")
        if only is not None and name.strip() != only:
            continue
        fields = rest.split()
        try:
            level = float(fields[2].rstrip("."))
        except (IndexError, ValueError):
            continue
        # Levels below zero are dBm; those of 64 and more are dBm plus 256, in a byte without a sign.
        if level < 0.0 or 64.0 <= level < 256.0:
            return level if level < 0.0 else level - 256.0
    return None
