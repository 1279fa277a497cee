"""How an emulated INA bridge reads one sensor, and packs what it read into sample frames."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from testbed.virtual.marker import MarkerInput
from testbed.virtual.meters import bridge_frames as wire
from testbed.virtual.meters.ina import Sensor

TICK_NS = 4000
WORD = 0xFFFF_FFFF
_FLUSH_NS = 4_000_000
_HEAD_BYTES = 15
_MOST_PAYLOAD = 240
# What the firmware needs for each shunt and each bus reading it sends on, about: `python -m bench firmware_rates`.
_READING_IN_TURN_NS = 149_000, 166_000
_READING_ALONE_NS = 132_000, 570_000


class TickClock:
    """The bridge's clock: counts 4 us of its own from `origin_ns` on."""

    def __init__(self, origin_ns: int, drift_ppm: float, offset_s: float) -> None:
        self.origin_ns = origin_ns
        self._rate = 1.0 + drift_ppm * 1e-6
        self._offset_ns = offset_s * 1e9

    def tick(self, time_ns: int) -> int:
        """The counter at that time, before it wraps to 32 bits."""
        return int(((time_ns - self.origin_ns) * self._rate + self._offset_ns) // TICK_NS)

    def restart(self, time_ns: int) -> None:
        """Count from 0 again."""
        self.origin_ns = time_ns
        self._offset_ns = 0.0


@dataclass(frozen=True, slots=True)
class SampleFrame:
    """A run of one channel's samples, ready to be sent."""

    channel: Channel
    sent_ns: int
    count: int
    payload: bytes


class Channel:
    """The bridge's dealings with one sensor: which conversions it takes, and those it has not sent yet."""

    def __init__(self, sensor: Sensor, marker: MarkerInput, bus_divisor: int, in_turn: bool) -> None:
        self.sensor = sensor
        self._marker = marker
        self.answers = True
        self.lost = 0
        """samples lost since the last frame that went out"""
        wide, with_bus = sensor.chip.wide, bus_divisor == 1
        self.kind = wire.SAMPLES + 2 * wide + with_bus
        self._register_bytes = 3 if wide else 2
        self._with_bus = with_bus
        self._most_samples = (_MOST_PAYLOAD - _HEAD_BYTES) // (2 + self._register_bytes * (1 + with_bus))
        shunt_ns, bus_ns = _READING_IN_TURN_NS if in_turn else _READING_ALONE_NS
        self.reading_ns = shunt_ns + bus_ns / bus_divisor
        """what the microcontroller needs for one sample"""
        self._index = 0
        self._begun = 0
        """conversions before the stream"""
        self._rounds = 0
        self._stride = 1.0
        self._waiting: list[tuple[int, int, bool]] = []
        """end of the conversion in ns, shunt register, whether it overflowed"""

    def start(self, time_ns: int, stride: float) -> None:
        """Begin at index 0. The bridge comes back every `stride` conversions; those in between it does not read."""
        self._stride = stride
        self._begun = self.sensor.conversions_by(time_ns)
        self._rounds = self._index = self.lost = 0
        self._waiting.clear()

    def read_until(self, time_ns: int) -> None:
        """Take the conversions that end by `time_ns`."""
        rounds = math.ceil((self.sensor.conversions_by(time_ns) - self._begun) / self._stride)
        if rounds <= self._rounds:
            return
        conversions = self._begun + np.floor(np.arange(self._rounds, rounds) * self._stride).astype(np.int64)
        self._rounds = rounds
        if self.answers:
            self._waiting += self.sensor.convert(conversions)
        else:
            self.lost += len(conversions)
            self._index += len(conversions)

    def frames(self, time_ns: int, clock: TickClock, flush: bool) -> list[SampleFrame]:
        """The frames that are full or 4 ms old by `time_ns`; with `flush`, all."""
        cut: list[SampleFrame] = []
        while self._waiting:
            flush_ns = self._waiting[0][0] + _FLUSH_NS
            count = min(bisect_left(self._waiting, (flush_ns,)), self._most_samples)
            if count == self._most_samples:
                sent_ns = self._waiting[count - 1][0]
            elif time_ns >= flush_ns or flush:
                sent_ns = min(flush_ns, time_ns)
            else:
                break
            cut.append(SampleFrame(self, sent_ns, count, self._payload(self._waiting[:count], clock)))
            del self._waiting[:count]
            self._index += count
        return cut

    def _payload(self, samples: list[tuple[int, int, bool]], clock: TickClock) -> bytes:
        bus = self.sensor.bus_register()
        first = previous = clock.tick(samples[0][0])
        body = bytearray()
        levels = self._marker.levels(np.array([end_ns for end_ns, _, _ in samples])).tolist()
        for (end_ns, shunt, _), level in zip(samples, levels, strict=True):
            tick = clock.tick(end_ns)
            body += (shunt & 0xFFFFFF).to_bytes(3, "little")[: self._register_bytes]
            body += (level << 15 | (tick - previous)).to_bytes(2, "little")
            if self._with_bus:
                body += bus.to_bytes(self._register_bytes, "little")
            previous = tick
        flags = any(overflowed for _, _, overflowed in samples)
        address, index = self.sensor.address, self._index & WORD
        return struct.pack("<IIBBIB", first & WORD, index, address, flags, bus, len(samples)) + body
