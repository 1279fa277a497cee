"""The USB protocol of the Monsoon HVPM, and of an LVPM with revision E firmware: requests out, records in.

Sources: msoon/PyMonsoon@3699030 (Operations.py, pmapi.py, HVPM.py, LVPM.py, sampleEngine.py), ACTS monsoon_lib hvpm.
A bulk packet is the count of records the device dropped (u16, little-endian, running over), flags, the number of
records, and the records, 18 bytes each.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from power.errors import Unintelligible
from power.samples import ByteArray, IntArray

VENDOR, PRODUCT = 0x2AB9, 0x0001
BULK_IN, PACKET_BYTES = 0x81, 64
OUT, IN = 0x40, 0xC0
"""request types: vendor, to and from the device"""
SET_VALUE, START, STOP = 1, 2, 3
BUSY_SAMPLING = 0xFFFF_FFFE
"""the answer to any question while it samples"""
UNLIMITED = 0xFFFF_FFFF
CALIBRATE_EVERY_MS = 1250
"""as PyMonsoon has it"""
NO_COUNT = 0xFFFF
"""what the dropped count often shows in the first milliseconds (ACTS monsoon_lib hvpm transformers.py)"""
VOLTAGE_LSB_V = 62.5e-6
_HEAD, _RECORD_BYTES, _MOST_RECORDS = 4, 18, 3
_RECORD = np.dtype([("words", ">u2", (8,)), ("usb_gain", "u1"), ("main_gain", "u1")])
_KIND_BITS = 0x30


class Opcode(IntEnum):
    """What a value is of; those of the current zeros are in counts, signed."""

    MAIN_FINE_RESISTOR, USB_FINE_RESISTOR, AUX_FINE_RESISTOR = 0x02, 0x0D, 0x0E
    MAIN_COARSE_RESISTOR, USB_COARSE_RESISTOR, AUX_COARSE_RESISTOR = 0x11, 0x12, 0x13
    PASSTHROUGH = 0x10
    MAIN_FINE_SCALE, MAIN_COARSE_SCALE, USB_FINE_SCALE = 0x1A, 0x1B, 0x1C
    USB_COARSE_SCALE, AUX_FINE_SCALE, AUX_COARSE_SCALE = 0x1D, 0x1E, 0x1F
    MAIN_FINE_ZERO, MAIN_COARSE_ZERO, USB_FINE_ZERO, USB_COARSE_ZERO = 0x25, 0x26, 0x27, 0x28
    MAIN_VOLTAGE, SERIAL_NUMBER, POWER_UP_LIMIT, RUN_TIME_LIMIT, MODEL = 0x41, 0x42, 0x43, 0x44, 0x45
    DAC_LOW, DAC_HIGH = 0x88, 0x89
    FIRMWARE = 0xC0


class RecordKind(IntEnum):
    """What a record holds."""

    MEASUREMENT = 0x00
    ZERO_CALIBRATION = 0x10
    INVALID = 0x20
    REFERENCE_CALIBRATION = 0x30


def set_request(opcode: int, value: int) -> tuple[int, int, bytes]:
    """wValue, wIndex and data of a control transfer that sets a value of 32 bits."""
    return value & 0xFFFF, opcode | (value >> 16 & 0xFF) << 8, struct.pack("<I", value)


def voltage_value(voltage_v: float) -> int:
    """Volts as `Opcode.MAIN_VOLTAGE` takes them."""
    return round(voltage_v * (1 << 20))


@dataclass(frozen=True, slots=True)
class Records:
    """n records, oldest first."""

    position: IntArray
    """(n,) from 0 at the first; what the device dropped is a gap in it"""
    kind: ByteArray
    """(n,) a `RecordKind` each"""
    words: NDArray[np.uint16]
    """(n, 8) main coarse and fine, usb coarse and fine, aux coarse and fine, main and usb voltage"""


class Counter:
    """Decodes packets, and counts the records they hold and those the device dropped between them.

    The flags' packet counter is not used: what it counts is nowhere said, and USB loses nothing on the way.
    """

    def __init__(self) -> None:
        self._dropped: int | None = None

    def take(self, packets: Sequence[bytes]) -> tuple[Records, int]:
        """The records of packets as they came, and how many positions they have taken, with what was dropped.

        Measurements from before the dropped count means anything are marked as invalid. Raises `Unintelligible`.
        """
        position: list[int] = []
        bodies: list[bytes] = []
        at = uncounted = 0
        for packet in packets:
            dropped, count = _head(packet)
            if self._dropped is None and dropped == NO_COUNT:
                uncounted += count
            else:
                at += 0 if self._dropped is None else dropped - self._dropped & 0xFFFF
                self._dropped = dropped
            position.extend(range(at, at + count))
            bodies.append(packet[_HEAD : _HEAD + count * _RECORD_BYTES])
            at += count
        records = np.frombuffer(b"".join(bodies), _RECORD)
        kind = (records["main_gain"] & _KIND_BITS).astype(np.uint8)
        early = kind[:uncounted]
        early[early == RecordKind.MEASUREMENT.value] = RecordKind.INVALID.value
        return Records(np.array(position, np.int64), kind, records["words"].astype(np.uint16)), at


def _head(packet: bytes) -> tuple[int, int]:
    """The dropped count and the number of records."""
    if len(packet) >= _HEAD:
        dropped, _, count = struct.unpack_from("<HBB", packet)
        if count <= _MOST_RECORDS and len(packet) >= _HEAD + count * _RECORD_BYTES:
            return dropped, count
    raise Unintelligible(
        f"a Monsoon's packet of {len(packet)} bytes does not hold what it promises: {packet[:8].hex(' ')}"
    )
