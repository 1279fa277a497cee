"""The USB Monsoon's transfers and packets, byte by byte."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.errors import Unintelligible
from power.monsoon_usb_protocol import Counter, Opcode, RecordKind, set_request, voltage_value

RECORD = st.tuples(st.lists(st.integers(0, 0xFFFF), min_size=8, max_size=8), st.sampled_from(list(RecordKind)))
PACKET = st.tuples(st.integers(0, 0xFFFE), st.lists(RECORD, min_size=1, max_size=3))


def wire_of(dropped: int, records: list[tuple[list[int], int]]) -> bytes:
    body = b"".join(struct.pack(">8HBB", *words, 0x05, 0x0A | kind) for words, kind in records)
    return struct.pack("<HBB", dropped, 0x27, len(records)) + body


def test_golden_requests() -> None:
    assert set_request(Opcode.MAIN_VOLTAGE, voltage_value(5.1)) == (0x999A, 0x5141, bytes.fromhex("9a 99 51 00"))
    assert set_request(Opcode.PASSTHROUGH, 1) == (1, 0x0010, bytes.fromhex("01 00 00 00"))


def test_golden_packet() -> None:
    packet = bytes.fromhex("0200 21 010b42 6abc 0102 0304 fffe 8001 4fb0 9c4000 30")
    records, positions = Counter().take([packet])
    assert positions == 1
    assert records.kind.tolist() == [RecordKind.REFERENCE_CALIBRATION]
    assert records.words.tolist() == [[0x0B42, 0x6ABC, 0x0102, 0x0304, 0xFFFE, 0x8001, 0x4FB0, 0x9C40]]


@given(st.lists(PACKET, max_size=8), st.data())
def test_records_keep_their_places_however_they_are_read(
    packets: list[tuple[int, list[tuple[list[int], int]]]], data: st.DataObject
) -> None:
    wires = [wire_of(*packet) for packet in packets]
    cut = data.draw(st.integers(0, len(wires)))
    counter = Counter()
    places, words, kinds = [], [], []
    taken = 0
    for part in (wires[:cut], wires[cut:]):
        records, positions = counter.take(part)
        places += (records.position + taken).tolist()
        words += records.words.tolist()
        kinds += records.kind.tolist()
        taken += positions
    expected = []
    at, last = 0, packets[0][0] if packets else 0
    for dropped, held in packets:
        at += (dropped - last) % 0x10000
        last = dropped
        expected += range(at, at + len(held))
        at += len(held)
    assert (places, taken) == (expected, at)
    assert words == [record[0] for _, held in packets for record in held]
    assert kinds == [record[1] for _, held in packets for record in held]


def test_a_count_that_means_nothing_yet_is_no_gap() -> None:
    counter = Counter()
    measured = ([0] * 8, RecordKind.MEASUREMENT)
    zero = ([0] * 8, RecordKind.ZERO_CALIBRATION)
    records, positions = counter.take([wire_of(0xFFFF, [zero, measured]), wire_of(0, [measured])])
    assert positions == 3
    assert records.kind.tolist() == [RecordKind.ZERO_CALIBRATION, RecordKind.INVALID, RecordKind.MEASUREMENT]
    _, positions = counter.take([wire_of(0xFFFF, [measured]), wire_of(1, [measured])])
    assert positions == 0xFFFF + 2 + 2


@pytest.mark.parametrize("packet", ["", "0000 20", "0000 20 04" + "00" * 72, "0000 20 02" + "00" * 35])
def test_a_packet_that_does_not_hold_what_it_promises_is_refused(packet: str) -> None:
    with pytest.raises(Unintelligible, match="promises"):
        Counter().take([bytes.fromhex(packet)])


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_arbitrary_packets_raise_nothing_else(packets: list[bytes]) -> None:
    counter = Counter()
    for packet in packets:
        with suppress(Unintelligible):
            records, positions = counter.take([packet])
            assert len(records.words) == len(records.kind) == len(records.position) <= 3
            assert positions <= 0xFFFF + 3
