"""The INA bridge's wire protocol, version 1 (docs/reference/bridge-protocol.md): frames to bytes and back."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from power.errors import Unintelligible

VERSION = 1
BAUD = 1_000_000
START = 0xA5
MAX_PAYLOAD = 240
_HEAD = struct.Struct("<BBBB")
_CRC = struct.Struct("<H")


class Type(IntEnum):
    """What a frame is."""

    IDENTIFY = 0x01
    CONFIGURE = 0x02
    BEGIN = 0x03
    STOP = 0x04
    SYNC = 0x05
    SAMPLES = 0x10
    SAMPLES_WITH_BUS = 0x11
    ERROR = 0xEE


REPLY = 0x80
"""a reply's type is its command's with this bit set"""


class ErrorCode(IntEnum):
    """What the bridge complains of."""

    UNKNOWN_COMMAND = 1
    MALFORMED = 2
    REFUSED_WHILE_STREAMING = 3
    SENSOR_SILENT = 4
    I2C_STUCK = 5
    OVERRUN = 6
    RESTARTED = 7


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, either direction."""

    type: int
    sequence: int
    payload: bytes

    def encode(self) -> bytes:
        """The frame's bytes, start and CRC included."""
        body = _HEAD.pack(START, self.type, self.sequence, len(self.payload)) + self.payload
        return body + _CRC.pack(binascii.crc_hqx(body[1:], 0))


class Decoder:
    """Finds frames in a stream of bytes however it is split; what is no frame is skipped and counted."""

    def __init__(self) -> None:
        self._buffer = b""
        self.skipped = 0
        """bytes that belonged to no frame"""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order."""
        buffer = self._buffer + data
        frames: list[Frame] = []
        at = 0
        while True:
            start = buffer.find(START, at)
            self.skipped += (len(buffer) if start < 0 else start) - at
            at = len(buffer) if start < 0 else start
            if len(buffer) - at < _HEAD.size:
                break
            _, kind, sequence, length = _HEAD.unpack_from(buffer, at)
            end = at + _HEAD.size + length
            if length <= MAX_PAYLOAD and len(buffer) < end + _CRC.size:
                break
            if length > MAX_PAYLOAD or _CRC.unpack_from(buffer, end)[0] != binascii.crc_hqx(buffer[at + 1 : end], 0):
                at += 1
                self.skipped += 1
                continue
            frames.append(Frame(kind, sequence, buffer[at + _HEAD.size : end]))
            at = end + _CRC.size
        self._buffer = buffer[at:]
        return frames


@dataclass(frozen=True, slots=True)
class Identity:
    """What the bridge says it is."""

    protocol: int
    firmware: tuple[int, int]
    ticks_per_second: int
    sensors: int
    """bit i: a device answers at I2C address 0x40 + i"""
    serial: str

    @property
    def firmware_version(self) -> str:
        """As people write it."""
        return ".".join(map(str, self.firmware))

    @property
    def addresses(self) -> list[int]:
        """I2C addresses at which a device answers."""
        return [0x40 + bit for bit in range(16) if self.sensors >> bit & 1]

    @staticmethod
    def decode(payload: bytes) -> Identity:
        protocol, major, minor, rate, sensors, serial = _unpack("<BBBIH8s", payload)
        return Identity(protocol, (major, minor), rate, sensors, serial.rstrip(b"\0").decode("ascii", "replace"))


@dataclass(frozen=True, slots=True)
class Configuration:
    """How one sensor is set up and read."""

    address: int
    """I2C address of the sensor, 0x40..0x4F"""
    model: int
    """0x19 for an INA219, 0x26 for an INA226"""
    register: int
    """value of the sensor's configuration register"""
    bus_divisor: int
    """the bus voltage is read with every so-many-th shunt reading, 1..255"""

    def encode(self) -> bytes:
        return struct.pack("<BBHB", self.address, self.model, self.register, self.bus_divisor)

    @staticmethod
    def decode(payload: bytes) -> Configuration:
        return Configuration(*_unpack("<BBHB", payload))


def unwrap(counter: int, near: int) -> int:
    """A 32-bit counter without its wrap: the value nearest to `near`."""
    return near + (counter - near + (1 << 31)) % (1 << 32) - (1 << 31)


def decode_sync(payload: bytes) -> int:
    """The bridge's tick counter (modulo 2^32) when the sync command's last byte was received."""
    ticks: int = _unpack("<I", payload)[0]
    return ticks


def decode_error(payload: bytes) -> tuple[int, int]:
    """Code and detail of an error frame."""
    code, detail = _unpack("<BB", payload)
    return code, detail


@dataclass(frozen=True, slots=True)
class SampleFrame:
    """n raw samples of one sensor."""

    index: int
    """of the first sample, counted from start, lost ones included"""
    address: int
    overflow: bool
    """the sensor's range or math overflowed within this frame"""
    ticks: NDArray[np.int64]
    """(n,) ticks at which the conversions ended; the first lies in 0..2^32-1, the rest count on from it"""
    shunt: NDArray[np.int16]
    """(n,) shunt voltage register"""
    bus: NDArray[np.uint16]
    """(n,) bus voltage register, as read last"""
    mark: NDArray[np.uint8]
    """(n,) level of the marker input"""

    @staticmethod
    def decode(frame: Frame) -> SampleFrame:
        """From a frame of type SAMPLES or SAMPLES_WITH_BUS."""
        with_bus = frame.type == Type.SAMPLES_WITH_BUS
        width = 6 if with_bus else 4
        if len(frame.payload) < 13 or len(frame.payload) != 13 + width * frame.payload[12] or not frame.payload[12]:
            raise Unintelligible(f"a sample frame of {len(frame.payload)} bytes")
        tick, index, address, flags, bus, count = struct.unpack_from("<IIBBHB", frame.payload)
        words = np.frombuffer(frame.payload, "<u2", offset=13).reshape(count, width // 2)
        steps = (words[:, 1] & 0x7FFF).astype(np.int64)
        steps[0] = 0
        return SampleFrame(
            index=index,
            address=address,
            overflow=bool(flags & 1),
            ticks=tick + np.cumsum(steps),
            shunt=words[:, 0].view(np.int16),
            bus=words[:, 2] if with_bus else np.full(count, bus, np.uint16),
            mark=(words[:, 1] >> 15).astype(np.uint8),
        )


def _unpack(layout: str, payload: bytes) -> tuple[Any, ...]:
    try:
        return struct.unpack(layout, payload)
    except struct.error:
        raise Unintelligible(f"{len(payload)} bytes where {struct.calcsize(layout)} belong") from None
