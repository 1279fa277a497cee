from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power.monsoon_protocol import (
    GET_STATUS,
    START,
    STOP,
    Decoder,
    Kind,
    Packets,
    Passthrough,
    encode,
    set_current_limits,
    set_passthrough,
    set_voltage,
)
from power.monsoon_stream import Converter

Sample = tuple[int, int, int, int]
WORD = st.integers(-(2**15), 2**15 - 1)
SAMPLE = st.tuples(WORD, WORD, WORD, WORD)
PACKET = st.tuples(
    st.integers(0, 63), st.sampled_from(list(Kind)), st.lists(SAMPLE, min_size=1, max_size=31).map(tuple)
)


def wire_of(flags: int, kind: int, samples: tuple[Sample, ...]) -> bytes:
    return encode(bytes((flags, kind, 0, 0)) + b"".join(struct.pack(">hhhh", *sample) for sample in samples) + b"\x84")


def packets_of(found: Packets) -> list[tuple[int, int, tuple[Sample, ...]]]:
    rows = [tuple(row) for row in found.words.tolist()]
    packets = []
    for flags, kind, count in zip(found.flags.tolist(), found.kind.tolist(), found.count.tolist(), strict=True):
        packets.append((flags, kind, tuple(rows[:count])))
        rows = rows[count:]
    return packets


@pytest.mark.parametrize(
    ("frame", "golden"),
    [
        (GET_STATUS, "04 01 00 00 05"),
        (STOP, "03 03 00 06"),
        (START, "04 01 1b 01 21 08 02 ff ff ff ff 03 e8 f1"),
        (set_voltage(3.70), "04 01 01 aa b0"),
        (set_voltage(4.55), "04 01 01 ff 05"),
        (set_voltage(0.0), "04 01 01 00 06"),
        (set_passthrough(Passthrough.ON), "04 01 10 01 16"),
        (set_current_limits(8.0, 0.0), "04 01 08 00 0d 04 01 09 00 0e 04 01 0a ff 0e 04 01 0b 03 13"),
        (set_current_limits(3.0, 1.0), "04 01 08 80 8d 04 01 09 02 10 04 01 0a 80 8f 04 01 0b 03 13"),
    ],
)
def test_golden_commands(frame: bytes, golden: str) -> None:
    assert frame == bytes.fromhex(golden)


@pytest.mark.parametrize("voltage_v", [2.0, 4.56, 5.0, -1.0])
def test_a_voltage_that_main_does_not_have_is_refused(voltage_v: float) -> None:
    with pytest.raises(ValueError, match=r"2\.01 to 4\.55 V"):
        set_voltage(voltage_v)


def test_a_current_limit_beyond_8_a_is_refused() -> None:
    with pytest.raises(ValueError, match="8.5 A"):
        set_current_limits(1.0, 8.5)


def test_golden_data_packet() -> None:
    found = Decoder().feed(bytes.fromhex("0e 23 00 00 c4 0101 fffe 0000 7b0c 00 7b"))
    assert packets_of(found) == [(0x23, Kind.DATA, ((0x0101, -2, 0, 0x7B0C),))]


def test_golden_status() -> None:
    payload = bytearray(58)
    payload[0:3] = 0x10, 20, 17
    struct.pack_into(">H", payload, 9, 29600)
    payload[19] = 170
    struct.pack_into(">H", payload, 25, 2345)
    payload[27] = 5
    struct.pack_into(">HH", payload, 32, 640, 896)
    payload[43], payload[45] = 3, 2
    (status,) = Decoder().feed(encode(bytes(payload))).status
    assert (status.firmware, status.protocol, status.serial_number, status.hardware_revision) == (20, 17, 2345, 3)
    assert status.main_voltage_v == pytest.approx(3.7)
    assert status.output_setting_v == pytest.approx(3.7)
    assert status.sample_rate_hz == 5000
    assert (status.power_up_limit_a, status.run_time_limit_a) == pytest.approx((2.995, 0.993), abs=1e-3)
    assert status.passthrough == Passthrough.AUTO


def test_an_empty_packet_means_nothing() -> None:
    packet = wire_of(0x20, 0, ((1, 2, 3, 4),))
    decoder = Decoder()
    assert len(packets_of(decoder.feed(b"\0" + packet + b"\0\0" + packet))) == 2
    assert decoder.skipped == 0


@given(st.lists(PACKET, max_size=6), st.data())
def test_packets_survive_any_split(packets: list[tuple[int, int, tuple[Sample, ...]]], data: st.DataObject) -> None:
    wire = b"".join(wire_of(*packet) for packet in packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    decoder = Decoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += packets_of(decoder.feed(wire[start:end]))
    assert found == packets
    assert decoder.skipped == 0


# Bytes that a parser of this protocol is more likely to believe than plain noise.
FRAGMENT = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([0, 13, 21, 29, 59, 253]).map(lambda length: bytes((length,))),
    PACKET.map(lambda packet: wire_of(*packet)),
    st.binary(min_size=58, max_size=58).map(lambda payload: encode(b"\x10" + payload[1:])),
)


@given(st.lists(FRAGMENT, max_size=12).map(b"".join), st.data())
def test_arbitrary_bytes_are_no_error_and_leave_little_behind(noise: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(noise)), max_size=8)))
    decoder = Decoder()
    for start, end in zip([0, *cuts], [*cuts, len(noise)], strict=True):
        found = decoder.feed(noise[start:end])
        assert len(found.words) == found.count.sum()
        assert len(found.kind) == len(found.flags) == len(found.count)
        assert decoder.held <= 255
    assert decoder.skipped <= len(noise)


@given(st.lists(PACKET, max_size=12))
def test_arbitrary_packets_convert_to_as_many_samples(packets: list[tuple[int, int, tuple[Sample, ...]]]) -> None:
    converter = Converter((0, 2), 125e-6)
    found = Decoder().feed(b"".join(wire_of(*packet) for packet in packets))
    runs = [run for run in converter.runs(found) if run is not None]
    assert sum(len(run) for run in runs) <= sum(len(packet[2]) for packet in packets if packet[1] == Kind.DATA)
    for run in runs:
        assert run.current_a.shape == (2, len(run))
        assert run.is_on is None or len(run.is_on) == len(run)


@given(st.lists(st.tuples(st.integers(1, 31), st.integers(1, 400)), min_size=1, max_size=6))
def test_runs_of_one_length_are_taken_as_one_by_one(shape: list[tuple[int, int]]) -> None:
    packets = []
    for size, times in shape:
        for _ in range(times):
            number = len(packets)
            packets.append((0x20 | number & 15, 0, tuple((number, at, -at, number + at) for at in range(size))))
    assert packets_of(Decoder().feed(b"".join(wire_of(*packet) for packet in packets))) == packets


def test_the_stream_is_found_again_behind_noise() -> None:
    packets = [(0x20 | number, 0, ((number, 0, 0, 0),)) for number in range(16)]
    wire = b"".join(wire_of(*packet) for packet in packets)
    assert packets_of(Decoder().feed(b"\xff\x0e\x3b\x01" + wire))[-10:] == packets[-10:]


@given(st.integers(0, 7), st.data())
def test_a_corrupted_packet_costs_itself_alone(bit: int, data: st.DataObject) -> None:
    packets = [(0x20 | number, 0, tuple((number, at, -at, 777) for at in range(4))) for number in range(12)]
    wires = [bytearray(wire_of(*packet)) for packet in packets]
    at = data.draw(st.integers(1, len(wires[3]) - 1))
    wires[3][at] ^= 1 << bit
    assert packets_of(Decoder().feed(b"".join(wires))) == packets[:3] + packets[4:]
