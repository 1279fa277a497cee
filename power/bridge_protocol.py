"""The INA bridge's wire protocol, version 2 (docs/reference/bridge-protocol.md): frames to bytes and back."""

from __future__ import annotations

import binascii
import struct
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from power.errors import Unintelligible

VERSION = 2
BAUD = 1_000_000
TICKS_PER_SECOND = 250_000
START = 0xA5
MAX_PAYLOAD = 240
MAX_COMMAND_PAYLOAD = 32
FLUSH_S = 4e-3
"""a bridge sends a sample at the latest so long after it"""
MOST_SENSORS = 8
"""that one bridge streams at once"""
HEAD = struct.Struct("<BBBB")
IDENTITY = struct.Struct("<BBBIH8s")
CONFIGURATION = struct.Struct("<BBHHHBHB")
SAMPLES_HEAD = struct.Struct("<IIBBIB")
_CRC = struct.Struct("<H")
_SYNC = struct.Struct("<I")
_ERROR = struct.Struct("<BB")


class Type(IntEnum):
    """What a frame is."""

    IDENTIFY = 0x01
    CONFIGURE = 0x02
    BEGIN = 0x03
    STOP = 0x04
    SYNC = 0x05
    SELF_TEST = 0x06
    SAMPLES = 0x10
    SAMPLES_WITH_BUS = 0x11
    WIDE_SAMPLES = 0x12
    WIDE_SAMPLES_WITH_BUS = 0x13
    ERROR = 0xEE


REPLY = 0x80
"""a reply's type is its command's with this bit set"""
SAMPLE_TYPES = range(Type.SAMPLES, Type.WIDE_SAMPLES_WITH_BUS + 1)
OVERFLOWED, LOST_BEFORE = 1, 2
"""flags of a sample frame"""


class ErrorCode(IntEnum):
    """What the bridge complains of."""

    UNKNOWN_COMMAND = 1
    MALFORMED = 2
    REFUSED_WHILE_STREAMING = 3
    SENSOR_SILENT = 4
    I2C_STUCK = 5
    OVERRUN = 6
    RESTARTED = 7
    LINE_OVERRUN = 8
    TOO_MANY_SENSORS = 9


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, either direction."""

    type: int
    sequence: int
    payload: bytes

    def encode(self) -> bytes:
        """The frame's bytes, start and CRC included."""
        body = HEAD.pack(START, self.type, self.sequence, len(self.payload)) + self.payload
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
            if len(buffer) - at < HEAD.size:
                break
            _, kind, sequence, length = HEAD.unpack_from(buffer, at)
            end = at + HEAD.size + length
            if length <= MAX_PAYLOAD and len(buffer) < end + _CRC.size:
                break
            if length > MAX_PAYLOAD or _CRC.unpack_from(buffer, end)[0] != binascii.crc_hqx(buffer[at + 1 : end], 0):
                at += 1
                self.skipped += 1
                continue
            frames.append(Frame(kind, sequence, buffer[at + HEAD.size : end]))
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
        protocol, major, minor, rate, sensors, serial = _unpack(IDENTITY, payload)
        return Identity(protocol, (major, minor), rate, sensors, serial.rstrip(b"\0").decode("ascii", "replace"))


@dataclass(frozen=True, slots=True)
class Configuration:
    """How one sensor is set up and read."""

    address: int
    """I2C address of the sensor, 0x40..0x4F"""
    model: int
    """0x19 for an INA219, 0x26 for an INA226, 0x28 for an INA228"""
    register: int
    """value of the register that decides averaging and conversion times, while the shunt is read"""
    bus_register: int
    """the same while the bus voltage is read"""
    range_register: int
    """value of the INA228's CONFIG register; 0 for the others"""
    bus_divisor: int
    """the bus voltage is read with every so-many-th shunt reading, 1..255"""
    interval: int
    """ticks that one round of conversions takes at most, either way"""
    flagged: int
    """1: a reading is new when the sensor's ready flag says so; 0: when the interval has passed"""

    def encode(self) -> bytes:
        return CONFIGURATION.pack(*astuple(self))

    @staticmethod
    def decode(payload: bytes) -> Configuration:
        return Configuration(*_unpack(CONFIGURATION, payload))


def unwrap(counter: int, near: int) -> int:
    """A 32-bit counter without its wrap: the value nearest to `near`."""
    return near + (counter - near + (1 << 31)) % (1 << 32) - (1 << 31)


def decode_sync(payload: bytes) -> int:
    """The bridge's tick counter (modulo 2^32) when the sync command's last byte was received."""
    ticks: int = _unpack(_SYNC, payload)[0]
    return ticks


def decode_error(payload: bytes) -> tuple[int, int]:
    """Code and detail of an error frame."""
    code, detail = _unpack(_ERROR, payload)
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
    shunt: NDArray[np.int32]
    """(n,) shunt voltage register, right-aligned"""
    bus: NDArray[np.int32]
    """(n,) bus voltage register, right-aligned, as read last"""
    mark: NDArray[np.uint8]
    """(n,) level of the marker input"""

    @staticmethod
    def decode(frame: Frame) -> SampleFrame:
        """From a frame of one of the `SAMPLE_TYPES`."""
        wide, with_bus = divmod(frame.type - Type.SAMPLES, 2)
        layout = _SAMPLE[wide, with_bus]
        size, head = len(frame.payload), SAMPLES_HEAD.size
        if size < head or size != head + layout.itemsize * frame.payload[head - 1] or size == head:
            raise Unintelligible(f"a sample frame of {size} bytes")
        tick, index, address, flags, bus, count = SAMPLES_HEAD.unpack_from(frame.payload)
        read = np.frombuffer(frame.payload, layout, offset=head)
        steps = (read["step"] & 0x7FFF).astype(np.int64)
        steps[0] = 0
        return SampleFrame(
            index=index,
            address=address,
            overflow=bool(flags & OVERFLOWED),
            ticks=tick + np.cumsum(steps),
            shunt=_signed(read["shunt"]),
            bus=_unsigned(read["bus"]) if with_bus else np.full(count, bus & 0xFFFFFF, np.int32),
            mark=(read["step"] >> 15).astype(np.uint8),
        )


_SAMPLE = {
    (0, 0): np.dtype([("shunt", "u1", 2), ("step", "<u2")]),
    (0, 1): np.dtype([("shunt", "u1", 2), ("step", "<u2"), ("bus", "u1", 2)]),
    (1, 0): np.dtype([("shunt", "u1", 3), ("step", "<u2")]),
    (1, 1): np.dtype([("shunt", "u1", 3), ("step", "<u2"), ("bus", "u1", 3)]),
}
"""layout of a sample, by whether its registers are wide (24 bits) and whether it brings its bus voltage"""


def _unsigned(register: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Numbers from their little-endian bytes, shape (n, 2) or (n, 3)."""
    weights = np.array([1, 1 << 8, 1 << 16], np.int32)[: register.shape[1]]
    return np.asarray((register * weights).sum(axis=1), np.int32)


def _signed(register: NDArray[np.uint8]) -> NDArray[np.int32]:
    number, half = _unsigned(register), np.int32(1 << 8 * register.shape[1] - 1)
    return np.asarray((number ^ half) - half, np.int32)


def _unpack(layout: struct.Struct, payload: bytes) -> tuple[Any, ...]:
    try:
        return layout.unpack(payload)
    except struct.error:
        raise Unintelligible(f"{len(payload)} bytes where {layout.size} belong") from None
