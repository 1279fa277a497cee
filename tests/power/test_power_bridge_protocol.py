from __future__ import annotations

import binascii
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import Unintelligible
from power.bridge_protocol import (
    Configuration,
    Decoder,
    Frame,
    Identity,
    SampleFrame,
    Type,
    decode_error,
    decode_sync,
    unwrap,
)

FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=240))


def decode(data: bytes) -> list[Frame]:
    return Decoder().feed(data)


def test_golden_command() -> None:
    # CRC-16/XMODEM of 05 07 00, worked out bit by bit
    crc = 0
    for byte in (0x05, 0x07, 0x00):
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    assert Frame(Type.SYNC, 7, b"").encode() == bytes((0xA5, 0x05, 0x07, 0x00, crc & 0xFF, crc >> 8))


def test_the_crc_is_the_documented_one() -> None:
    assert binascii.crc_hqx(b"123456789", 0) == 0x31C3


def test_golden_identity() -> None:
    payload = bytes.fromhex("01 02 03 90d00300 0300") + b"NANO7\0\0\0"
    assert Identity.decode(payload) == Identity(1, (2, 3), 250_000, 0b11, "NANO7")


def test_golden_configuration() -> None:
    configuration = Configuration(0x40, 0x28, 0xA368, 0x9368, 0x10, 16, 290, 1)
    assert configuration.encode() == bytes.fromhex("40 28 68a3 6893 1000 10 2201 01")
    assert Configuration.decode(configuration.encode()) == configuration


def test_golden_samples_with_one_bus_voltage() -> None:
    payload = bytes.fromhex("f0ffffff 0a000000 40 03 10270000 03") + bytes.fromhex("0100 0080 feff 0500 0300 0580")
    samples = SampleFrame.decode(Frame(Type.SAMPLES, 0, payload))
    assert samples.index == 10
    assert samples.overflow
    assert samples.ticks.tolist() == [2**32 - 16, 2**32 - 11, 2**32 - 6]
    assert samples.shunt.tolist() == [1, -2, 3]
    assert samples.bus.tolist() == [0x2710] * 3
    assert samples.mark.tolist() == [1, 0, 1]


def test_golden_samples_with_each_bus_voltage() -> None:
    payload = bytes.fromhex("00000000 00000000 41 00 10000000 02") + bytes.fromhex("0100 0000 1000 0200 4e00 1800")
    samples = SampleFrame.decode(Frame(Type.SAMPLES_WITH_BUS, 0, payload))
    assert not samples.overflow
    assert samples.bus.tolist() == [0x10, 0x18]
    assert samples.ticks.tolist() == [0, 78]


def test_golden_wide_samples() -> None:
    payload = bytes.fromhex("00000000 00000000 41 00 00640000 02") + bytes.fromhex("010203 0000 ffffff 2300")
    samples = SampleFrame.decode(Frame(Type.WIDE_SAMPLES, 0, payload))
    assert samples.shunt.tolist() == [0x030201, -1]
    assert samples.bus.tolist() == [25600] * 2
    payload = bytes.fromhex("00000000 00000000 41 00 00640000 01") + bytes.fromhex("000080 0080 ffff07")
    samples = SampleFrame.decode(Frame(Type.WIDE_SAMPLES_WITH_BUS, 0, payload))
    assert (samples.shunt.tolist(), samples.bus.tolist(), samples.mark.tolist()) == ([-(2**23)], [0x07FFFF], [1])


def test_golden_sync_and_error() -> None:
    assert decode_sync(bytes.fromhex("78563412")) == 0x12345678
    assert decode_error(b"\x04\x40") == (4, 0x40)


@pytest.mark.parametrize("payload", [b"", bytes(14), bytes(15), bytes(14) + b"\x02" + bytes(4)])
def test_samples_that_are_not_what_their_frame_promises(payload: bytes) -> None:
    with pytest.raises(Unintelligible):
        SampleFrame.decode(Frame(Type.SAMPLES, 0, payload))


@given(st.binary(max_size=64))
def test_a_payload_is_understood_or_refused(payload: bytes) -> None:
    for kind in (Type.SAMPLES, Type.SAMPLES_WITH_BUS, Type.WIDE_SAMPLES, Type.WIDE_SAMPLES_WITH_BUS):
        try:
            assert len(SampleFrame.decode(Frame(kind, 0, payload)).shunt) == payload[14]
        except Unintelligible:
            pass
    for what in (Identity.decode, Configuration.decode, decode_sync, decode_error):
        try:
            what(payload)
        except Unintelligible:
            pass


@given(st.lists(FRAMES, max_size=5), st.data())
def test_frames_survive_any_split(frames: list[Frame], data: st.DataObject) -> None:
    wire = b"".join(frame.encode() for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    decoder = Decoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += decoder.feed(wire[start:end])
    assert found == frames
    assert decoder.skipped == 0


@given(st.lists(FRAMES, min_size=1, max_size=4), st.binary(max_size=40))
def test_arbitrary_bytes_hide_no_later_frame(frames: list[Frame], noise: bytes) -> None:
    wire = b"".join(frame.encode() for frame in frames)
    # Whatever frame the noise seems to begin ends within 246 bytes.
    found = decode(noise + wire + bytes(246))
    assert [frame for frame in found if frame in frames][-len(frames) :] == frames


@given(FRAMES, FRAMES, st.data())
def test_a_corrupted_frame_is_dropped_and_the_next_is_found(first: Frame, second: Frame, data: st.DataObject) -> None:
    wire = bytearray(first.encode())
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= 1 << data.draw(st.integers(0, 7))
    found = decode(bytes(wire) + second.encode() + bytes(246))
    assert second in found
    assert first not in found or first == second


@given(st.integers(0, 2**40), st.integers(-(2**31), 2**31 - 1))
def test_a_counter_is_unwrapped_next_to_the_one_before(near: int, step: int) -> None:
    assert unwrap(struct.unpack("<I", struct.pack("<q", near + step)[:4])[0], near) == near + step
