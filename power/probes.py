"""Asks a serial port which monitor stands behind it, and leaves whatever does as it was.

Only questions that change nothing are sent, and a stream that runs goes on. Opening a port resets many microcontroller
boards; that is their wiring, and cannot be helped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from power import bridge_protocol, monsoon_protocol
from power.errors import Unintelligible
from power.ina_bridge import BOOT_NS
from power.monsoon_ports import PortLock
from power.port import Port

Answer = TypeVar("Answer")

STATUS_NS = 1_000_000_000
"""an LVPM answers within milliseconds"""
_ASK_AGAIN_NS = 250_000_000
_WAIT_S = 0.02
_EMPTY_PACKETS = bytes(255)
"""to an LVPM a length of 0 is an empty packet, and no packet is longer: they end one that another's question began"""


def probe_bridge(port: str) -> bridge_protocol.Identity | None:
    """The INA bridge on `port`; None when none answers while a board may still be booting (3 s).

    Raises `PortMissing`, `PortBusy`, `MonitorGone`.
    """
    decoder = bridge_protocol.Decoder()
    question = bridge_protocol.Frame(bridge_protocol.Type.IDENTIFY, 0, b"").encode()

    def identity(data: bytes) -> bridge_protocol.Identity | None:
        for frame in decoder.feed(data):
            if frame.type == bridge_protocol.Type.IDENTIFY | bridge_protocol.REPLY:
                return bridge_protocol.Identity.decode(frame.payload)
        return None

    try:
        return _ask(port, bridge_protocol.BAUD, question, identity, BOOT_NS)
    except Unintelligible:
        return None


def probe_lvpm(port: str) -> monsoon_protocol.Status | None:
    """The Monsoon LVPM on `port`; None when none answers. Raises `PortMissing`, `PortBusy`, `MonitorGone`."""
    decoder = monsoon_protocol.Decoder()

    def status(data: bytes) -> monsoon_protocol.Status | None:
        found = decoder.feed(data).status
        return found[-1] if found else None

    with PortLock(port):
        return _ask(port, monsoon_protocol.BAUD, _EMPTY_PACKETS + monsoon_protocol.GET_STATUS, status, STATUS_NS)


def _ask(
    path: str, baud: int, question: bytes, answer: Callable[[bytes], Answer | None], patience_ns: int
) -> Answer | None:
    give_up_ns = time.monotonic_ns() + patience_ns
    ask_ns = 0
    with Port(path, baud) as port:
        while (now_ns := time.monotonic_ns()) < give_up_ns:
            if now_ns >= ask_ns:
                port.write(question)
                ask_ns = now_ns + _ASK_AGAIN_NS
            if found := answer(port.read(_WAIT_S)):
                return found
    return None
