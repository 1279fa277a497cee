"""The device's side of the INA bridge's framing, as docs/reference/bridge-protocol.md has it."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass

IDENTIFY, CONFIGURE, START, STOP, SYNC, SELF_TEST = range(0x01, 0x07)
REPLY = 0x80
SAMPLES, SAMPLES_WITH_BUS, WIDE_SAMPLES, WIDE_SAMPLES_WITH_BUS = range(0x10, 0x14)
ERROR = 0xEE

UNKNOWN_COMMAND, MALFORMED, STREAMING, NO_ANSWER, _BUS_STUCK, OVERRUN, RESTARTED, _, TOO_MANY = range(1, 10)

_START_OF_FRAME = 0xA5
_HEADER_BYTES = 4
_CRC_BYTES = 2
_MOST_PAYLOAD = 32  # of a command


@dataclass(frozen=True, slots=True)
class Command:
    """A frame from the controller."""

    kind: int
    sequence: int
    payload: bytes


def frame(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """One frame for the wire; `sequence` is taken modulo 256."""
    body = bytes((kind, sequence & 0xFF, len(payload))) + payload
    return bytes((_START_OF_FRAME,)) + body + struct.pack("<H", binascii.crc_hqx(body, 0))


class CommandScanner:
    """Finds commands in what the controller writes, however it is cut up."""

    def __init__(self) -> None:
        self._held = bytearray()

    def scan(self, data: bytes) -> list[Command]:
        """The commands completed by `data`."""
        self._held += data
        commands: list[Command] = []
        while (start := self._held.find(_START_OF_FRAME)) >= 0:
            del self._held[:start]
            if len(self._held) < _HEADER_BYTES:
                return commands
            payload_end = _HEADER_BYTES + self._held[3]
            if self._held[3] <= _MOST_PAYLOAD and len(self._held) < payload_end + _CRC_BYTES:
                return commands
            body, crc = self._held[1:payload_end], self._held[payload_end : payload_end + _CRC_BYTES]
            if self._held[3] > _MOST_PAYLOAD or struct.unpack("<H", crc)[0] != binascii.crc_hqx(body, 0):
                del self._held[0]
                continue
            commands.append(Command(body[0], body[1], bytes(body[3:])))
            del self._held[: payload_end + _CRC_BYTES]
        self._held.clear()
        return commands
