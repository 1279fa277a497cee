"""The serial protocol of the Monsoon LVPM with its stock firmware: frames to bytes and back.

Sources: AOSP/CTS tools/utils/monsoon.py, google/mobly controllers/monsoon.py, catapult
telemetry/internal/platform/profiler/monsoon.py, ACTS monsoon_lib lvpm_stock, msoon/PyMonsoon. A frame is its length
(payload and check sum), the payload, and the sum of all before modulo 256. A length of 0 is an empty packet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from power.samples import ByteArray, IntArray

BAUD = 115200
"""of no consequence on USB CDC"""
LEAST_MAIN_V, MOST_MAIN_V = 2.01, 4.55
"""what main can be set to"""
MOST_A = 8.0
"""the end of the current limits' scale"""
VOLTAGE_LSB_V = 125e-6
END_OF_SCALE = 0x7FFE
"""a current word that reaches this, bit 0 aside, is at the end of its 16 bits"""
_STATUS = struct.Struct(">BBBhhhHhhhHBBBxBbHBHHHHBbbHHBBBbbbbbbbbbBH")
_STATUS_LENGTH = _STATUS.size + 1
_STATUS_PACKET = 0x10
_DATA_HEAD = 4
_SAMPLE_BYTES = 8
_DATA_LENGTHS = frozenset(range(_DATA_HEAD + _SAMPLE_BYTES + 2, 256, _SAMPLE_BYTES))
_STEP = bytes(length + 1 if length in _DATA_LENGTHS | {0, _STATUS_LENGTH} else 0 for length in range(256))
"""from one packet to the next, by the first's length; 0 for a length that no packet has"""
_RUN = 8
"""packets of one length in a row that are worth taking together"""
_STRIDE = 4096
"""bytes gone through packet by packet before such a run is looked for again"""


class Kind(IntEnum):
    """What the samples of a packet are."""

    DATA = 0
    ZERO_CALIBRATION = 1
    REFERENCE_CALIBRATION = 2


_LAST_KIND = int(max(Kind))  # numpy is slow to compare with an enumeration's members


def encode(payload: bytes) -> bytes:
    """`payload` as a frame."""
    length = len(payload) + 1
    return bytes((length, *payload, (length + sum(payload)) & 0xFF))


GET_STATUS = encode(bytes((0x01, 0x00, 0x00)))
START = encode(bytes((0x01, 0x1B, 0x01))) + encode(bytes((0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x03, 0xE8)))
"""sample without end, calibrate every 1000 ms"""
STOP = encode(bytes((0x03, 0x00)))


def set_voltage(voltage_v: float) -> bytes:
    """Put main at 2.01 to 4.55 V; 0 switches it off. `ValueError` outside."""
    setting = round((voltage_v - 2.0) * 100) if voltage_v else 0
    if voltage_v and not 1 <= setting <= 255:
        raise ValueError(f"a Monsoon LVPM's main output gives 2.01 to 4.55 V, not {voltage_v:g} V")
    return encode(bytes((0x01, 0x01, setting)))


def set_current_limits(power_up_a: float, run_time_a: float) -> bytes:
    """The limits at switch-on and afterwards, 0 to 8 A. `ValueError` outside."""
    frames = b""
    for opcode, limit_a in ((0x08, power_up_a), (0x0A, run_time_a)):
        if not 0 <= limit_a <= MOST_A:
            raise ValueError(f"a Monsoon LVPM's current limits lie in 0 to 8 A, not {limit_a:g} A")
        setting = 1023 - int(limit_a / MOST_A * 1023)
        frames += encode(bytes((0x01, opcode, setting & 0xFF))) + encode(bytes((0x01, opcode + 1, setting >> 8)))
    return frames


class Passthrough(IntEnum):
    """Whether the USB output is connected; AUTO disconnects it while sampling."""

    OFF = 0
    ON = 1
    AUTO = 2


def set_passthrough(mode: Passthrough) -> bytes:
    """Connect or disconnect the USB output."""
    return encode(bytes((0x01, 0x10, mode)))


@dataclass(frozen=True, slots=True)
class Status:
    """What of a status packet is used."""

    firmware: int
    protocol: int
    main_voltage_v: float
    output_setting_v: float
    """what main was last set to; kept while it is off"""
    serial_number: int
    sample_rate_hz: float
    power_up_limit_a: float
    run_time_limit_a: float
    hardware_revision: int
    passthrough: int

    @property
    def firmware_version(self) -> str:
        """As people write it."""
        return f"{self.firmware} (protocol {self.protocol}, hardware revision {self.hardware_revision})"

    @staticmethod
    def decode(payload: bytes) -> Status:
        """From a status packet's 58 bytes."""
        field_at = _STATUS.unpack(payload)
        revision = field_at[27]
        return Status(
            firmware=field_at[1],
            protocol=field_at[2],
            main_voltage_v=field_at[6] * voltage_lsb_v(revision),
            output_setting_v=2.0 + field_at[11] / 100,
            serial_number=field_at[16],
            sample_rate_hz=field_at[17] * 1000.0,
            power_up_limit_a=MOST_A * (1023 - field_at[20]) / 1023,
            run_time_limit_a=MOST_A * (1023 - field_at[21]) / 1023,
            hardware_revision=revision,
            passthrough=field_at[29],
        )


def voltage_lsb_v(hardware_revision: int) -> float:
    """The step of the voltage words: revision 1 counts twice as finely (catapult)."""
    return VOLTAGE_LSB_V / 2 if hardware_revision == 1 else VOLTAGE_LSB_V


@dataclass(frozen=True, slots=True)
class Packets:
    """k sample packets with n samples in all, in order, and the status packets that came among them."""

    flags: NDArray[np.uint8]
    """(k,) bits 0-3 sequence, 4 over-current or thermal shutdown, 5 output on"""
    kind: NDArray[np.uint8]
    """(k,) a `Kind` each"""
    count: NDArray[np.int64]
    """(k,) samples in each"""
    words: NDArray[np.int16]
    """(n, 4) main, usb and aux current, main voltage"""
    status: list[Status] = field(default_factory=list)


class Decoder:
    """Finds packets in a stream of bytes however it is split; what is no packet is skipped and counted."""

    def __init__(self) -> None:
        self._buffer = b""
        self.skipped = 0
        """bytes that belonged to no packet"""

    @property
    def held(self) -> int:
        """Bytes kept for the next call: less than the longest packet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Packets:
        """The packets that `data` completes. What they hold is decoded for all of them at once."""
        buffer = self._buffer + data
        bytes_in = np.frombuffer(buffer, np.uint8)
        found: list[IntArray] = []
        at = 0
        while True:
            chain, at = _chain(buffer, bytes_in, at)
            sound = _sound(bytes_in, chain)
            found.append(chain[:sound])
            if sound < len(chain):
                at = int(chain[sound])
            elif not _is_alien(buffer, at):
                break
            resumed = _next_packet(buffer, at + 1)
            self.skipped += resumed - at
            at = resumed
        self._buffer = buffer[at:]
        return _decode(buffer, bytes_in, np.concatenate(found))


def _chain(buffer: bytes, data: ByteArray, at: int) -> tuple[IntArray, int]:
    """Where packets start if every length is believed, and where that ends: at an impossible length, or at the end."""
    runs: list[IntArray] = []
    size = len(buffer)
    while at < size and (step := _STEP[buffer[at]]):
        # In the little that a stream brings at a time it is quicker to walk.
        alike = _alike(data, at, step) if size - at > _STRIDE else 0
        if alike >= _RUN:
            runs.append(np.arange(at, at + alike * step, step))
            at += alike * step
        chain: list[int] = []
        until = min(size, at + _STRIDE)
        while at < until and (step := _STEP[buffer[at]]):
            chain.append(at)
            at += step
        if at > size:
            at = chain.pop()
            size = at
        runs.append(np.array(chain, np.int64))
    chains = np.concatenate(runs) if runs else np.empty(0, np.int64)
    return chains[data[chains] != 0], at


def _alike(data: ByteArray, at: int, step: int) -> int:
    """How many whole packets of the same length follow each other from `at`."""
    lengths = data[at : len(data) - step + 1 : step]
    other = np.flatnonzero(lengths != step - 1)
    return int(other[0]) if len(other) else len(lengths)


def _sound(data: ByteArray, start: IntArray) -> int:
    """How many of the chain's packets, from its first, have a right check sum and a possible type."""
    if not len(start):
        return 0
    length = data[start]
    end = start + length
    bounds = np.empty(2 * len(start), np.int64)
    bounds[0::2], bounds[1::2] = start, end
    summed = np.add.reduceat(data, bounds, dtype=np.uint8)[::2]
    typed = data[start + 2] <= _LAST_KIND
    is_status = length == _STATUS_LENGTH
    if is_status.any():
        typed = np.where(is_status, data[start + 1] == _STATUS_PACKET, typed)
    wrong = np.flatnonzero((summed != data[end]) | ~typed)
    return int(wrong[0]) if len(wrong) else len(start)


def _is_alien(buffer: bytes, at: int) -> bool:
    """Whether what stands at `at` can be no packet's length."""
    return at < len(buffer) and not _STEP[buffer[at]]


def _next_packet(buffer: bytes, at: int) -> int:
    """The next place, from `at` on, where a sound packet starts, or one that may yet become sound."""
    size = len(buffer)
    while at < size:
        length = buffer[at]
        end = at + length
        if _STEP[length] > 1:
            if end >= size:
                return at
            typed = buffer[at + 1] == _STATUS_PACKET if length == _STATUS_LENGTH else buffer[at + 2] <= _LAST_KIND
            if typed and sum(buffer[at:end]) & 0xFF == buffer[end]:
                return at
        at += 1
    return size


def _decode(buffer: bytes, data: ByteArray, start: IntArray) -> Packets:
    length = data[start]
    status: list[Status] = []
    is_status = length == _STATUS_LENGTH
    if is_status.any():
        status = [Status.decode(buffer[at + 1 : at + _STATUS_LENGTH]) for at in start[is_status].tolist()]
        start, length = start[~is_status], length[~is_status]
    count = (length.astype(np.int64) - _DATA_HEAD - 2) // _SAMPLE_BYTES
    return Packets(data[start + 1], data[start + 2], count, _samples(data, start, count), status)


def _samples(data: ByteArray, start: IntArray, count: IntArray) -> NDArray[np.int16]:
    """The samples' words, (n, 4), each column contiguous."""
    if not len(start):
        return np.empty((0, 4), np.int16)
    # Packets of one length, one behind the other, are a table; else each sample is picked up by itself, as one number.
    width = int(count[0]) * _SAMPLE_BYTES
    step = width + _DATA_HEAD + 3
    first, end = int(start[0]), int(start[-1]) + step
    if end - first == len(start) * step and (count == count[0]).all():
        table = data[first:end].reshape(-1, step)[:, 1 + _DATA_HEAD : 1 + _DATA_HEAD + width]
        words = np.ascontiguousarray(table).view(">i2")
    else:
        before = np.cumsum(count) - count
        at = np.repeat(start + (1 + _DATA_HEAD) - _SAMPLE_BYTES * before, count)
        at += np.arange(0, _SAMPLE_BYTES * len(at), _SAMPLE_BYTES)
        anywhere = np.ndarray(len(data) - _SAMPLE_BYTES + 1, np.uint64, data, strides=(1,))
        words = anywhere[at].view(">i2")
    return np.asarray(words.reshape(-1, 4).T.astype(np.int16, order="C").T)
