"""How an emulated INA bridge reads one sensor, and packs what it read into sample frames."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from dataclasses import dataclass

from testbed.virtual.meters import bridge_frames as wire
from testbed.virtual.meters.ina import Sensor

TICK_NS = 4000
WORD = 0xFFFF_FFFF
_FLUSH_NS = 4_000_000
_MOST_SAMPLES = {wire.SAMPLES: 56, wire.SAMPLES_WITH_BUS: 36}
# What a 16 MHz ATmega328P with a 400 kHz bus and a 1 Mbaud line needs for each shunt and each bus reading it sends on.
_SHUNT_READING_NS = 149_000
_BUS_READING_NS = 166_000


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

    def __init__(self, sensor: Sensor, bus_divisor: int) -> None:
        self.sensor = sensor
        self.answers = True
        self.lost = 0
        """samples lost since the last frame that went out"""
        self.kind = wire.SAMPLES_WITH_BUS if bus_divisor == 1 else wire.SAMPLES
        self.reading_ns = _SHUNT_READING_NS + _BUS_READING_NS / bus_divisor
        """what the microcontroller needs for one sample"""
        self._index = 0
        self._next = 0
        self._stride = 1
        self._waiting: list[tuple[int, int, bool]] = []
        """end of the conversion in ns, shunt register, whether it overflowed"""

    def start(self, time_ns: int, reading_ns: float) -> None:
        """Begin at index 0. The bridge comes back every `reading_ns`: of faster conversions it takes each n-th."""
        self._stride = max(1, math.ceil(reading_ns / self.sensor.period_ns)) if self.sensor.period_ns else 1
        self._next = self.sensor.conversions_by(time_ns)
        self._index = self.lost = 0
        self._waiting.clear()

    def read_until(self, time_ns: int) -> None:
        """Take the conversions that end by `time_ns`."""
        conversions = range(self._next, self.sensor.conversions_by(time_ns), self._stride)
        if not conversions:
            return
        self._next = conversions[-1] + self._stride
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
            count = min(bisect_left(self._waiting, (flush_ns,)), _MOST_SAMPLES[self.kind])
            if count == _MOST_SAMPLES[self.kind]:
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
        words: list[int] = []
        for end_ns, shunt, _ in samples:
            tick = clock.tick(end_ns)
            words += (shunt & 0xFFFF, tick - previous)
            if self.kind == wire.SAMPLES_WITH_BUS:
                words.append(bus)
            previous = tick
        flags = any(overflowed for _, _, overflowed in samples)
        address, index = self.sensor.address, self._index & WORD
        head = struct.pack("<IIBBHB", first & WORD, index, address, flags, bus, len(samples))
        return head + struct.pack(f"<{len(words)}H", *words)
