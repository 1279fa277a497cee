"""The emulated Monsoon LVPM against the serial protocol of the public host tools, byte by byte over a raw port."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from testbed.virtual.supply import SupplyWriter

MS = 1_000_000
Start = Callable[..., Any]

PERFECT = ("--noise-steps=0", "--latency-ms=0", "--jitter-ms=0")
GET_STATUS = bytes.fromhex("04 01 00 00 05")
SET_3V70 = bytes.fromhex("04 01 01 aa b0")
OFF = bytes.fromhex("04 01 01 00 06")
START = bytes.fromhex("04 01 1b 01 21 08 02 ff ff ff ff 03 e8 f1")
STOP = bytes.fromhex("03 03 00 06")
STATUS_FIELDS = ">BBBhhhHhhhHBBBxBbHBHHHHBbbHHBBBbbbbbbbbbBH"


def parse(data: bytes) -> tuple[list[bytes], bytes]:
    """Every payload that is not empty, and an unfinished end. Every byte must belong to a packet of right checksum."""
    found = []
    while data and data[0] < len(data):
        end = data[0]
        assert end == 0 or sum(data[:end]) % 256 == data[end]
        if end:
            found.append(data[1:end])
        data = data[end + 1 :] if end else data[1:]
    return found, data


def payloads(data: bytes) -> list[bytes]:
    return parse(data)[0]


@dataclass
class Packet:
    sequence: int
    flags: int
    kind: int
    words: list[tuple[int, int, int, int]]
    """main, usb, aux current signed, voltage unsigned"""


def packets(data: bytes) -> list[Packet]:
    found = []
    for payload in payloads(data):
        assert len(payload) >= 13
        assert (len(payload) - 5) % 8 == 0
        words = list(struct.iter_unpack(">hhhH", payload[4:-1]))
        found.append(Packet(payload[0] & 15, payload[0] & 0xF0, payload[1], words))
    return found


def currents_a(found: list[Packet], channel: int = 0) -> np.ndarray:
    """As the public host tools decode them, from the first calibration on."""
    scales: dict[tuple[int, int], int] = {}
    values = []
    for packet in found:
        for n, words in enumerate(packet.words):
            raw, coarse = words[channel] & ~1, words[channel] & 1
            if packet.kind:
                assert coarse == n % 2
                scales[packet.kind, n % 2] = raw
            elif (2, 1) in scales:
                reference_a = 2.88 if coarse else 0.0332
                zero, reference = scales[1, coarse], scales[2, coarse]
                values.append((raw - zero) * reference_a / (reference - zero))
    return np.array(values)


def status(data: bytes) -> tuple[int, ...]:
    (payload,) = payloads(data)
    return struct.unpack(STATUS_FIELDS, payload)


def test_the_status_packet_field_by_field(start: Start, supply: SupplyWriter) -> None:
    monsoon = start("monsoon", "--output-voltage=4.2", "--serial-number=777", *PERFECT)
    heard = monsoon.run(10 * MS, after=GET_STATUS)
    assert heard[0] == 59
    assert len(heard) == 60
    fields = status(heard)
    assert fields[:3] == (0x10, 20, 17)
    assert fields[6] == fields[10] == 33600
    assert fields[11] == 220
    assert fields[16:18] == (777, 5)
    assert fields[29] == 2, "USB passthrough is automatic"
    assert fields[27] == 3


def test_what_is_set_is_told_and_not_acknowledged(start: Start) -> None:
    monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT)
    limits = [(0x08, 0x80), (0x09, 0x02), (0x0A, 0x80), (0x0B, 0x03)]
    settings = [(0x01, 0xAA), (0x10, 1), *limits]
    commands = b"".join(bytes([4, 1, register, value, (5 + register + value) % 256]) for register, value in settings)
    assert SET_3V70 in commands
    assert monsoon.run(1 * MS, after=commands) == b""
    fields = status(monsoon.run(2 * MS, after=GET_STATUS))
    assert fields[11] == 170
    assert fields[6] == 29600
    assert fields[20:22] == (640, 896)
    assert fields[29] == 1
    monsoon.run(3 * MS, after=OFF)
    fields = status(monsoon.run(4 * MS, after=GET_STATUS))
    assert (fields[6], fields[11]) == (0, 170), "off leaves the setting"


def test_commands_are_found_among_rubbish_and_in_pieces(start: Start) -> None:
    monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT)
    assert monsoon.run(1 * MS, after=b"\0\0\0" + GET_STATUS[:2]) == b""
    assert len(payloads(monsoon.run(2 * MS, after=GET_STATUS[2:]))) == 1
    assert monsoon.run(300 * MS, after=bytes.fromhex("04 01 00 00 06")) == b""
    # A length that never comes is given up once the line was quiet.
    assert monsoon.run(500 * MS, after=b"\xf0") == b""
    assert len(payloads(monsoon.run(501 * MS, after=GET_STATUS))) == 1


def test_currents_and_voltage_decode_to_the_supplys(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 8.4)
    monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT)
    found = packets(monsoon.run(500 * MS, after=START))
    decoded = currents_a(found)
    assert len(decoded) == pytest.approx(2500, abs=8)
    assert decoded == pytest.approx(2.0, abs=143e-6 * 1.03)
    assert {words[3] for packet in found[1:] for words in packet.words} == {33600}
    assert currents_a(found, 1) == pytest.approx(0.0, abs=1.5e-6)


def test_it_switches_between_fine_and_coarse(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 0.0420)
    supply.set(100 * MS, 4.20)
    supply.set(200 * MS, 0.0840)
    monsoon = start("monsoon", "--output-voltage=4.2", "--phase=0", *PERFECT)
    found = packets(monsoon.run(300 * MS, after=START))
    decoded = currents_a(found)
    for first, expected_a, step_a in ((0, 0.010, 1.43e-6), (500, 1.0, 143e-6), (1000, 0.020, 1.43e-6)):
        assert decoded[first + 5 : first + 490] == pytest.approx(expected_a, abs=step_a * 1.03)
    coarse = [words[0] & 1 for packet in found if packet.kind == 0 for words in packet.words]
    assert sum(coarse) == 500


def test_a_sample_is_the_mean_over_its_200_us(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 4.2)
    supply.set(10 * MS + 150_000, 8.4)
    monsoon = start("monsoon", "--output-voltage=4.2", "--phase=0", *PERFECT)
    decoded = currents_a(packets(monsoon.run(50 * MS, after=START)))
    assert decoded[49:52] == pytest.approx([1.0, 1.25, 2.0], abs=2e-4)


def test_gain_and_offset_are_off_as_asked(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 4.2)
    monsoon = start("monsoon", "--output-voltage=4.2", "--gain-error=0.02", "--offset-a=0.003", *PERFECT)
    decoded = currents_a(packets(monsoon.run(50 * MS, after=START)))
    assert decoded == pytest.approx(1.023, abs=1.5e-4)


def test_noise_averages_out(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 4.2)
    monsoon = start("monsoon", "--output-voltage=4.2", "--noise-steps=0.5")
    decoded = currents_a(packets(monsoon.run(2000 * MS, after=START)))
    assert decoded.std() == pytest.approx(286e-6 * np.hypot(0.5, 12**-0.5), rel=0.1)
    assert decoded.mean() == pytest.approx(1.0, abs=10e-6)


def test_the_stream_as_the_protocol_has_it(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 4.2)
    monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT)
    heard = monsoon.run(2500 * MS, after=START)
    stale, *found = packets(heard)
    assert stale.kind == 0
    assert [packet.kind for packet in found[:3]] == [1, 2, 0]
    assert all(b.sequence == (a.sequence + 1) % 16 for a, b in pairwise(found))
    assert {packet.flags for packet in found} == {0x20}
    assert {len(packet.words) for packet in found if packet.kind == 0} == set(range(1, 8))
    assert [packet.kind for packet in found if packet.kind] == [1, 2] * 3, "at the start and every 1000 ms"
    assert {len(packet.words) for packet in found if packet.kind} <= {2, 4}
    whole, end = parse(heard)
    empty = len(heard) - len(end) - sum(len(payload) + 2 for payload in whole)
    assert empty == len(found) // 64


def test_packets_come_in_pieces(start: Start, supply: SupplyWriter) -> None:
    monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT)
    monsoon.run(0, after=START)
    pieces = [monsoon.run(time_ns) for time_ns in range(100_000, 200 * MS, 100_000)]
    first = next(n for n, piece in enumerate(pieces) if parse(piece)[1])
    heads = [parse(b"".join(pieces[first:later]))[1] for later in range(first + 1, first + 12)]
    assert b"" in heads, "the rest of the packet comes later"


def test_status_is_answered_mid_stream(start: Start, supply: SupplyWriter) -> None:
    monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT)
    monsoon.run(100 * MS, after=START)
    found = payloads(monsoon.run(200 * MS, after=GET_STATUS))
    assert [len(payload) for payload in found].count(58) == 1
    assert len(found) > 50


def test_stop_leaves_packets_in_flight_and_the_next_start_brings_stale_ones(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 4.2)
    monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT)
    before = packets(monsoon.run(100 * MS, after=START))
    in_flight = packets(monsoon.run(200 * MS, after=STOP))
    assert 1 <= len(in_flight) <= 10
    assert monsoon.run(300 * MS) == b""
    again = packets(monsoon.run(400 * MS, after=START))
    assert again[:2] == (before + in_flight)[-2:]
    assert [packet.kind for packet in again[2:4]] == [1, 2]
    assert again[2].sequence == 0


def test_a_limited_start_ends_by_itself(start: Start, supply: SupplyWriter) -> None:
    monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT)
    body = bytes.fromhex("08 02 00 00 03 e8 00 00")
    found = packets(monsoon.run(1000 * MS, after=body + bytes([sum(body) % 256])))
    assert 994 <= sum(len(packet.words) for packet in found[1:] if packet.kind == 0) <= 1000
    assert [packet.kind for packet in found].count(1) == 1, "no interval, no further calibration"


def test_the_clock_drifts(start: Start, supply: SupplyWriter) -> None:
    monsoon = start("monsoon", "--output-voltage=4.2", "--drift-ppm=1000", *PERFECT)
    found = packets(monsoon.run(10_000 * MS, step_ns=100 * MS, after=START))
    assert sum(len(packet.words) for packet in found[1:] if packet.kind == 0) == pytest.approx(50_050, abs=7)


def test_bytes_show_only_after_their_latency(start: Start, supply: SupplyWriter) -> None:
    monsoon = start("monsoon", "--output-voltage=4.2", "--latency-ms=7", "--jitter-ms=0")
    assert monsoon.run(14 * MS - 1, after=GET_STATUS) == b""
    assert len(monsoon.run(14 * MS)) == 60


def test_the_same_seed_gives_the_same_bytes_however_it_is_stepped(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 4.2, 1.0)

    def stream(seed: int, step_ns: int) -> bytes:
        monsoon = start("monsoon", "--output-voltage=4.2", f"--seed={seed}")
        monsoon.run(0, after=START)
        return bytes(monsoon.run(1500 * MS, step_ns=step_ns))

    once = stream(1, 50 * MS)
    assert stream(1, 13 * MS) == once
    assert stream(2, 50 * MS) != once


def test_the_board_may_hang_on_usb_or_aux(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 5.0)
    aux = start("monsoon", "--output=aux", "--output-voltage=5", *PERFECT)
    found = packets(aux.run(50 * MS, after=START))
    assert currents_a(found, 2) == pytest.approx(1.0, abs=1.5e-4)
    assert currents_a(found, 0) == pytest.approx(0.0, abs=1.5e-6)
    usb = start("monsoon", "--output=usb", "--output-voltage=5", *PERFECT)
    found = packets(usb.run(50 * MS, after=START))
    assert currents_a(found, 1) == pytest.approx(0.0, abs=1.5e-6), "passthrough is off while sampling"
    assert found[-1].flags == 0
    found = packets(usb.run(100 * MS, after=STOP + bytes.fromhex("04 01 10 01 16") + START))
    assert currents_a(found, 1)[10:] == pytest.approx(1.0, abs=1.5e-4)


def test_main_is_off_from_its_setting_as_asked(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 3.7)
    monsoon = start("monsoon", "--output-voltage=4.204", *PERFECT)
    fields = status(monsoon.run(1 * MS, after=GET_STATUS))
    assert (fields[6], fields[11]) == (4.204 / 125e-6, 220)
    decoded = currents_a(packets(monsoon.run(50 * MS, after=SET_3V70 + START)))
    assert decoded == pytest.approx(3.7 / 3.704, abs=1.5e-4)


def test_main_reaches_only_so_far(start: Start, supply: SupplyWriter) -> None:
    with pytest.raises(SystemExit, match=r"main gives 2\.01 to 4\.55 V, not 5 V"):
        start("monsoon", "--output-voltage=5")


def test_a_tripped_output_is_flagged_until_switched_off_and_on(start: Start, supply: SupplyWriter) -> None:
    supply.set(-MS, 3.7)
    monsoon = start("monsoon", "--output-voltage=3.7", "--fault=trip@+0.05", *PERFECT)
    monsoon.run(40 * MS, after=START)
    monsoon.run(60 * MS)
    tripped = packets(monsoon.run(100 * MS))
    assert {packet.flags for packet in tripped} == {0x10}
    assert {words[3] for packet in tripped for words in packet.words} == {0}
    still = packets(monsoon.run(150 * MS, after=SET_3V70))
    assert {packet.flags for packet in still} == {0x10}
    monsoon.run(160 * MS, after=OFF + SET_3V70)
    assert {packet.flags for packet in packets(monsoon.run(200 * MS))} == {0x20}


def test_a_gap_loses_packets_and_leaves_the_rest_as_they_were(start: Start, supply: SupplyWriter) -> None:
    def stream(*faults: str) -> list[Packet]:
        monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT, *faults)
        return packets(monsoon.run(400 * MS, after=START) + monsoon.run(500 * MS, after=STOP))

    whole, holed = stream(), stream("--fault=gap@+0.1:0.05")
    lost = len(whole) - len(holed)
    # 50 ms of packets of four samples on average
    assert 40 < lost < 90
    first = next(n for n, (a, b) in enumerate(zip(whole, holed, strict=False)) if a != b)
    assert holed[first:] == whole[first + lost :]


def test_the_cables_faults(start: Start, supply: SupplyWriter) -> None:
    def stream(*faults: str) -> bytes:
        monsoon = start("monsoon", "--output-voltage=4.2", *PERFECT, *faults)
        return bytes(monsoon.run(200 * MS, after=START))

    whole = stream()
    dropped = packets(stream("--fault=drop@+0.1"))
    assert [(b.sequence - a.sequence) % 16 for a, b in pairwise(dropped[1:])].count(2) == 1
    assert len(stream("--fault=litter@+0.1:5")) == len(whole) + 5
    corrupt = stream("--fault=corrupt@+0.1")
    ((before, after),) = [(a, b) for a, b in zip(whole, corrupt, strict=True) if a != b]
    assert (before ^ after).bit_count() == 1
    with pytest.raises(EOFError):
        stream("--fault=unplug@+0.1")
