"""The emulated INA bridge against docs/reference/bridge-protocol.md, byte by byte over a raw port."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from testbed.virtual.marker import MarkerInput
from testbed.virtual.meters.bridge import Bridge
from testbed.virtual.meters.bridge_channel import TickClock
from testbed.virtual.meters.ina import INA226, Sensor, Wiring
from testbed.virtual.meters.line import Delivery, Line
from testbed.virtual.supply import SupplyReader, SupplyWriter

MS = 1_000_000
Start = Callable[..., Any]
PERFECT = ("--noise-steps=0", "--conversion-error=0", "--latency-ms=0", "--jitter-ms=0")
INA226_15V = ("--supply-voltage=15", "--sensor=ina226@0x40", "--shunt-ohm=0.005", *PERFECT)
INA219_5V = ("--supply-voltage=5", "--sensor=ina219@0x41", "--shunt-ohm=0.1", *PERFECT)
FASTEST_226 = 0x4007  # no averaging, 140 us each
SHUNT_ONLY_226 = 0x4005
TWELVE_BITS_219 = 0x399F  # 32 V, +-320 mV, 532 us each


def crc(data: bytes) -> int:
    """CRC-16/XMODEM, bit by bit."""
    register = 0
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = register << 1 ^ (0x1021 if register & 0x8000 else 0)
        register &= 0xFFFF
    return register


def frame(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    body = bytes([kind, sequence, len(payload)]) + payload
    return b"\xa5" + body + struct.pack("<H", crc(body))


def configure(address: int, model: int, value: int, divisor: int, sequence: int = 2) -> bytes:
    return frame(0x02, sequence, configuration(address, model, value, divisor))


def configuration(address: int, model: int, value: int, divisor: int) -> bytes:
    return struct.pack("<BBHHHBHB", address, model, value, value, 0, divisor, 0, 0)


START, STOP = frame(0x03, 3), frame(0x04, 4)


@dataclass
class Frame:
    kind: int
    sequence: int
    payload: bytes


def frames(data: bytes) -> list[Frame]:
    """Strict: every byte must belong to a whole frame with a right CRC."""
    found = []
    while data:
        assert data[0] == 0xA5
        end = 4 + data[3]
        assert struct.unpack("<H", data[end : end + 2])[0] == crc(data[1:end])
        found.append(Frame(data[1], data[2], data[4:end]))
        data = data[end + 2 :]
    return found


@dataclass
class Sample:
    index: int
    tick: int
    shunt: int
    bus: int
    flags: int


def samples(found: list[Frame]) -> list[Sample]:
    taken = []
    for one in found:
        if one.kind not in (0x10, 0x11):
            continue
        tick, index, _, flags, bus, count = struct.unpack("<IIBBIB", one.payload[:15])
        size, most = (6, 37) if one.kind == 0x11 else (4, 56)
        assert 1 <= count <= most
        assert len(one.payload) == 15 + size * count
        for n in range(count):
            words = struct.unpack_from("<hHH" if size == 6 else "<hH", one.payload, 15 + size * n)
            tick += words[1] & 0x7FFF
            taken.append(Sample(index + n, tick, words[0], words[2] if size == 6 else bus, flags))
    return taken


def test_the_crc_is_the_protocols() -> None:
    assert crc(b"123456789") == 0x31C3


def test_identity_word_for_word(start: Start) -> None:
    bridge = start("bridge", *INA226_15V, "--sensor=ina219@0x4F", "--serial=ABC")
    heard = bridge.run(10 * MS, after=bytes.fromhex("a5 01 07 00") + struct.pack("<H", crc(b"\x01\x07\x00")))
    body = bytes.fromhex("81 07 11 02 01 00 90d00300 0180") + b"ABC\0\0\0\0\0"
    assert heard == b"\xa5" + body + struct.pack("<H", crc(body))


def test_sync_tells_the_tick_it_came_at(start: Start) -> None:
    bridge = start("bridge", *INA226_15V, "--drift-ppm=100", "--clock-offset-s=17179")
    bridge.run(1000 * MS)
    (reply,) = frames(bridge.run(1001 * MS, after=frame(0x05, 9)))
    expected = (17179 * 250_000 + 250_025) % 2**32
    assert (reply.kind, reply.sequence, reply.payload) == (0x85, 9, struct.pack("<I", expected))
    assert expected < 250_000, "the counter wrapped on its way"


def test_configuration_is_read_back_from_the_chip(start: Start) -> None:
    bridge = start("bridge", *INA226_15V, "--sensor=ina219@0x41")
    heard = bridge.run(
        10 * MS,
        after=configure(0x40, 0x26, 0x0927, 1, 20)
        + configure(0x41, 0x19, 0x799F, 4, 21)
        + configure(0x40, 0x26, 0x8000, 1, 22),
    )
    assert [(reply.kind, reply.sequence, reply.payload) for reply in frames(heard)] == [
        (0x82, 20, read_back(0x40, 0x26, 0x4927, 0x0927, 1)),  # the INA226's fixed bits
        (0x82, 21, read_back(0x41, 0x19, 0x799F, 0x799F, 4)),  # the INA219's unused bit stays
        (0x82, 22, read_back(0x40, 0x26, 0x4127, 0x8000, 1)),  # reset: as after power-on
    ]


def read_back(address: int, model: int, value: int, asked: int, divisor: int) -> bytes:
    return struct.pack("<BBHHHBHB", address, model, value, asked, 0, divisor, 0, 0)


def test_what_cannot_be_done_is_refused_by_its_code(start: Start) -> None:
    bridge = start("bridge", *INA226_15V)
    requests = [
        (frame(0x77, 1), (1, 0x77)),
        (frame(0x02, 2, b"\x40"), (2, 0x02)),
        (configure(0x40, 0x99, 0, 1, 3), (2, 0x02)),
        (configure(0x40, 0x26, FASTEST_226, 0, 4), (2, 0x02)),
        (configure(0x45, 0x26, FASTEST_226, 1, 5), (4, 0x45)),
        (frame(0x05, 6, b"x"), (2, 0x05)),
    ]
    heard = frames(bridge.run(10 * MS, after=b"".join(request for request, _ in requests)))
    assert [(reply.kind, reply.sequence, tuple(reply.payload)) for reply in heard] == [
        (0xEE, sequence, answer) for sequence, (_, answer) in enumerate(requests, 1)
    ]
    heard = frames(bridge.run(20 * MS, after=configure(0x40, 0x26, FASTEST_226, 1) + START))
    assert [reply.kind for reply in heard if reply.kind > 0x20] == [0x82, 0x83]
    heard = frames(bridge.run(30 * MS, after=START + configure(0x40, 0x26, FASTEST_226, 1) + frame(0x01, 8)))
    assert [(reply.kind, reply.payload[:2]) for reply in heard if reply.kind > 0x20] == [
        (0xEE, b"\x03\x03"),
        (0xEE, b"\x03\x02"),
        (0x81, b"\x02\x01"),
    ]


def test_commands_are_found_among_rubbish_and_in_pieces(start: Start) -> None:
    bridge = start("bridge", *INA226_15V)
    broken = bytearray(frame(0x01, 1))
    broken[-1] ^= 1
    request = bytes(broken) + b"\xa5\xff\xff\xff rubbish " + frame(0x01, 2)
    bridge.write(request[:-3])
    assert bridge.run(1 * MS) == b""
    assert [reply.sequence for reply in frames(bridge.run(2 * MS, after=request[-3:]))] == [2]


def test_self_test_passes_and_misses_a_sensor(start: Start) -> None:
    bridge = start("bridge", *INA226_15V, "--fault=nack@0.05")
    (passed,) = frames(bridge.run(10 * MS, after=frame(0x06, 1)))
    bridge.run(60 * MS)
    (failed,) = frames(bridge.run(70 * MS, after=frame(0x06, 2)))
    assert (passed.kind, passed.payload[0], failed.payload[0]) == (0x86, 0, 0b10)


def test_a_steady_current_word_for_word(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)  # 1 A through 5 mOhm: 5 mV, 2000 LSB of 2.5 uV; 15 V is 12000 LSB of 1.25 mV
    bridge = start("bridge", *INA226_15V)
    bridge.run(0, after=configure(0x40, 0x26, FASTEST_226, 1) + START)
    heard = frames(bridge.run(20 * MS, step_ns=1 * MS))
    # Pairs take 280 us, reading and sending one takes the bridge 315 us: it takes every other.
    first = heard[0]
    assert (first.kind, first.sequence) == (0x11, 0)
    assert first.payload == struct.pack("<IIBBIB", 35, 0, 0x40, 0, 12000, 8) + b"".join(
        struct.pack("<hHH", 2000, 0 if n == 0 else 140, 12000) for n in range(8)
    )
    taken = samples(heard)
    assert [sample.index for sample in taken] == list(range(len(taken)))
    assert [sample.tick for sample in taken] == [35 + 140 * n for n in range(len(taken))]
    assert [one.sequence for one in heard] == list(range(len(heard)))


def test_a_frame_comes_4_ms_after_its_first_sample(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    bridge = start("bridge", *INA226_15V[:-2], "--latency-ms=3", "--jitter-ms=0")
    bridge.run(0, after=configure(0x40, 0x26, FASTEST_226, 1) + START)
    assert len(frames(bridge.run(6 * MS))) == 2, "the answers"
    # 3 ms there, the first conversion, 4 ms, 3 ms back
    due_ns = 3 * MS + 140_000 + 4 * MS + 3 * MS
    assert bridge.run(due_ns - 1) == b""
    assert len(frames(bridge.run(due_ns))) == 1


def test_sensors_are_read_in_rounds_and_only_those_of_the_latest_set(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    bridge = start("bridge", *INA226_15V, "--sensor=ina219@0x41", "--sensor=ina228@0x42")
    wide = struct.pack("<BBHHHBHB", 0x42, 0x28, 0xB000, 0xB000, 0, 1, 28, 0)
    both = configure(0x40, 0x26, FASTEST_226, 1) + configure(0x41, 0x19, TWELVE_BITS_219, 1) + frame(0x02, 9, wide)
    bridge.run(0, after=both + START)
    heard = [one for one in frames(bridge.run(100 * MS, after=b"")) if one.kind < 0x20]
    counts = {address: [one for one in heard if one.payload[8] == address] for address in (0x40, 0x41, 0x42)}
    last = {address: struct.unpack("<II", ones[-1].payload[:8]) for address, ones in counts.items()}
    assert max(index for _, index in last.values()) - min(index for _, index in last.values()) <= 4
    assert {one.kind for one in counts[0x42]} == {0x13}
    shunt = int.from_bytes(counts[0x42][0].payload[15:18], "little", signed=True)
    assert shunt == 16000  # 5 mV of 312.5 nV
    bridge.run(110 * MS, after=STOP)
    bridge.run(120 * MS, after=configure(0x41, 0x19, TWELVE_BITS_219, 1) + START)
    assert {one.payload[8] for one in frames(bridge.run(200 * MS)) if one.kind < 0x20} == {0x41}


def test_full_frames_of_shunt_readings(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    # A converter 40 % fast: 84 us, faster than the bridge's 150.66 us; every other one.
    bridge = start("bridge", *INA226_15V[:3], "--conversion-error=-0.4", *PERFECT[2:], "--noise-steps=0")
    bridge.run(0, after=configure(0x40, 0x26, SHUNT_ONLY_226, 100) + START)
    heard = [one for one in frames(bridge.run(200 * MS)) if one.kind == 0x10]
    assert {one.payload[14] for one in heard} == {24}  # 4 ms of 168 us
    assert {sample.bus for sample in samples(heard)} == {12000}


def test_a_sample_is_the_mean_over_its_own_conversion(start: Start, supply: SupplyWriter) -> None:
    # INA219, 12 bits: shunt 532 us, bus 532 us. The step falls a quarter into the second shunt conversion, the third is
    # half a ramp, and the spike during a bus conversion is not seen.
    second, third = 1_064_000, 2_128_000
    supply.set(0, 1.0)
    supply.set(600_000, 30.0)
    supply.set(700_000, 1.0)
    supply.set(second + 133_000, 5.0)
    supply.set(third, 2.0, 6.0 / 532e-6)
    supply.set(third + 532_000, 3.0)
    bridge = start("bridge", *INA219_5V, "--shunt-ohm=0.1")
    bridge.run(0, after=configure(0x41, 0x19, TWELVE_BITS_219 & ~0x1800, 1) + START)  # +-40 mV
    taken = samples(frames(bridge.run(20 * MS)))
    # W / 5 V * 0.1 Ohm / 10 uV = 2000 a watt; beyond 2 W the +-40 mV range ends at 4000.
    assert [sample.shunt for sample in taken[:4]] == [2000, 4000, 4000, 4000]
    bridge = start("bridge", *INA219_5V[:2], "--shunt-ohm=0.01", *PERFECT)
    bridge.run(0, after=configure(0x41, 0x19, TWELVE_BITS_219 & ~0x1800, 1) + START)
    taken = samples(frames(bridge.run(20 * MS)))
    assert [sample.shunt for sample in taken[:4]] == [200, 800, 1000, 600]
    assert [sample.bus >> 3 for sample in taken[:2]] == [1250, 1250]


@pytest.mark.parametrize(("gain_code", "step", "limit"), [(0, 1, 4000), (1, 2, 8000), (2, 4, 16000), (3, 8, 32000)])
def test_an_ina219s_range_decides_step_and_limit(
    start: Start, supply: SupplyWriter, gain_code: int, step: int, limit: int
) -> None:
    supply.set(0, 0.0, 200.0)  # 40 mV/V... to 20 W in 100 ms: 4 A, 400 mV
    bridge = start("bridge", *INA219_5V)
    bridge.run(0, after=configure(0x41, 0x19, 0x2007 | gain_code << 11 | 3 << 7 | 3 << 3, 2) + START)
    taken = samples(frames(bridge.run(100 * MS)))
    assert {sample.shunt % step for sample in taken} == {0}
    assert {sample.shunt // step % 2 for sample in taken} == {0, 1}, "no coarser than its step"
    assert max(sample.shunt for sample in taken) == limit
    overflowed = [sample.index for sample in taken if sample.flags & 1]
    at_limit = [sample.index for sample in taken if sample.shunt == limit]
    assert overflowed
    assert set(at_limit) - {at_limit[0]} <= set(overflowed)
    assert taken[0].flags == 0


def test_gain_and_offset_are_off_as_asked(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    bridge = start("bridge", *INA226_15V, "--gain-error=0.01", "--offset-v=0.0001", "--bus-gain-error=-0.01")
    bridge.run(0, after=configure(0x40, 0x26, FASTEST_226, 1) + START)
    taken = samples(frames(bridge.run(20 * MS)))
    assert {(sample.shunt, sample.bus) for sample in taken} == {(2060, 11880)}


def test_averaging_stretches_the_window(start: Start, supply: SupplyWriter) -> None:
    # 4 averages of 1.1 ms: shunt from 0 to 4.4 ms, bus to 8.8 ms
    supply.set(0, 15.0)
    supply.set(1_100_000, 30.0)
    bridge = start("bridge", *INA226_15V)
    bridge.run(0, after=configure(0x40, 0x26, 0x4000 | 1 << 9 | 4 << 6 | 4 << 3 | 7, 1) + START)
    taken = samples(frames(bridge.run(30 * MS)))
    assert [(sample.tick, sample.shunt) for sample in taken[:2]] == [(1100, 3500), (3300, 4000)]


def test_stop_comes_after_the_last_frame_and_the_next_start_begins_anew(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    bridge = start("bridge", *INA226_15V)
    bridge.run(0, after=configure(0x40, 0x26, FASTEST_226, 1) + START)
    heard = frames(bridge.run(10 * MS) + bridge.run(30 * MS, after=STOP))
    assert [one.kind for one in heard].index(0x84) == len(heard) - 1
    assert len(samples(heard)) == 18  # those that ended within 10 ms: 0.14 + 0.56 n
    assert bridge.run(100 * MS) == b""
    again = frames(bridge.run(120 * MS, after=START))
    assert samples(again)[0].index == 0
    assert again[1].sequence == heard[-2].sequence + 1, "replies do not advance the bridge's counter"


def _stream(start: Start, *arguments: str, step_ns: int = 50 * MS, until_ns: int = 300 * MS) -> bytes:
    bridge = start("bridge", *INA226_15V[:3], *arguments)
    bridge.run(0, after=configure(0x40, 0x26, FASTEST_226, 1) + START)
    return bytes(bridge.run(until_ns, step_ns=step_ns))


def test_the_same_seed_gives_the_same_bytes_however_it_is_stepped(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0, 1.0)
    once = _stream(start, "--seed=5")
    assert _stream(start, "--seed=5", step_ns=7 * MS) == once
    assert _stream(start, "--seed=6") != once


def test_a_lost_frame_shows_in_the_sequence(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    heard = frames(_stream(start, *PERFECT, "--fault=drop@+0.1:2"))
    jumps = [b.sequence - a.sequence for a, b in pairwise(heard[1:])]
    assert sorted(jumps)[-2:] == [1, 3]


def test_a_corrupt_frame_fails_its_crc(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    with pytest.raises(AssertionError):
        frames(_stream(start, *PERFECT, "--fault=corrupt@+0.1"))


def test_litter_stands_between_frames(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    clean = _stream(start, *PERFECT)
    assert len(_stream(start, *PERFECT, "--fault=litter@+0.1:30")) == len(clean) + 30


def test_a_gap_is_told(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    heard = frames(_stream(start, *PERFECT, "--fault=gap@+0.1:0.056"))
    taken = samples(heard)
    jumps = [(a, b) for a, b in pairwise(taken) if b.index != a.index + 1]
    ((before, after),) = jumps
    lost = after.index - before.index - 1
    assert lost == 100  # 56 ms of 560 us
    assert after.tick - before.tick == 140 * (lost + 1), "time ran on"
    assert after.flags & 2
    (error,) = [one for one in heard if one.kind == 0xEE]
    assert error.payload == bytes([6, lost])
    assert [sample.index for sample in taken if sample.flags & 2] == [after.index + n for n in range(8)]


def test_a_sensor_that_falls_silent_is_named_and_comes_back(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    heard = frames(_stream(start, *PERFECT, "--fault=nack@+0.1:0.056"))
    assert [one.payload for one in heard if one.kind == 0xEE] == [bytes([4, 0x40]), bytes([6, 100])]
    assert samples(heard)[-1].tick > 70_000


def test_a_silent_sensor_is_not_present(start: Start) -> None:
    bridge = start("bridge", *INA226_15V, "--fault=nack@0.0")
    heard = frames(bridge.run(10 * MS, after=frame(0x01, 1) + configure(0x40, 0x26, FASTEST_226, 1)))
    assert heard[0].payload[7:9] == b"\0\0"
    assert (heard[1].kind, heard[1].payload) == (0xEE, bytes([4, 0x40]))


def test_a_restart_ends_the_stream_and_the_clocks_count(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    bridge = start("bridge", *INA226_15V, "--fault=restart@+0.1")
    bridge.run(0, after=configure(0x40, 0x26, FASTEST_226, 1) + START)
    heard = frames(bridge.run(200 * MS))
    assert (heard[-1].kind, heard[-1].sequence, heard[-1].payload[0]) == (0xEE, 0, 7)
    (reply,) = frames(bridge.run(201 * MS, after=frame(0x05, 1)))
    assert reply.payload == struct.pack("<I", 25_000)


def test_an_unplugged_port_reads_its_end(start: Start, supply: SupplyWriter) -> None:
    supply.set(0, 15.0)
    bridge = start("bridge", *INA226_15V, "--fault=unplug@0.05")
    bridge.run(40 * MS)
    with pytest.raises(EOFError):
        bridge.run(100 * MS)


def test_a_reader_that_stalls_loses_samples_and_is_told(supply: SupplyWriter, supply_path: Path) -> None:
    supply.set(0, 15.0)
    delivery = Delivery(latency_ns=0, jitter_ns=0, lag_ns=0, queue_bytes=1000)
    wiring = Wiring(
        supply_voltage_v=15.0,
        shunt_ohm=0.005,
        gain_error=0.0,
        offset_v=0.0,
        bus_gain_error=0.0,
        conversion_error=0.0,
        noise_steps=0.0,
    )
    with SupplyReader(supply_path) as reader, Line(delivery, "seed") as line:
        sensor = Sensor(INA226, 0x40, wiring, reader, 0, 0)
        bridge = Bridge(line, reader, [sensor], TickClock(0, 0.0, 0.0), [], "A", MarkerInput(supply_path))
        port = os.open(line.port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            bridge.receive(configure(0x40, 0x26, FASTEST_226, 1) + START, 0)
            heard = b""
            for time_ns in range(0, 4000 * MS, 10 * MS):
                bridge.advance(time_ns)
                line.deliver(time_ns)
                while time_ns > 3000 * MS and select.select([port], [], [], 0)[0]:
                    heard += os.read(port, 65536)
                    line.deliver(time_ns)
        finally:
            os.close(port)
    found = frames(heard)
    taken = samples(found)
    assert [one.payload for one in found if one.kind == 0xEE] == [bytes([6, 255])]
    (after,) = [b for a, b in pairwise(taken) if b.index != a.index + 1]
    assert after.flags & 2
