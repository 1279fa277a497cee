"""The real firmware against docs/reference/bridge-protocol.md, over its bare wire."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.far_end import FarEnd
from bench.firmware_end import Event, firmware_end
from bench.waveform import Segment, Waveform
from power.bridge_protocol import (
    MAX_COMMAND_PAYLOAD,
    MOST_SENSORS,
    SAMPLE_TYPES,
    Configuration,
    ErrorCode,
    Frame,
    Identity,
    SampleFrame,
    Type,
    decode_error,
    decode_sync,
)
from tests.firmware.wire import Wire

Start = Callable[..., Wire]
Log = Callable[[], list[Event]]
PAIR = Configuration(0x40, 0x19, 0x3807, 0x3807, 0, 1, 47, 0)
RESET_CAUSES = {"power": 1, "external": 2, "watchdog": 8}


def test_identity(wire: Start) -> None:
    identity = Identity.decode(wire(sensor=["ina219@0x40", "ina226@0x4f"]).ask(Type.IDENTIFY).payload)
    assert identity == Identity(2, (1, 0), 250_000, 1 << 15 | 1, "BRIDGE1")


def test_it_says_that_and_why_it_restarted(wire: Start) -> None:
    bridge = wire(fault="reset@0.1")
    told = [decode_error(frame.payload) for frame in bridge.boot + bridge.hear(200)]
    assert told == [(ErrorCode.RESTARTED, RESET_CAUSES["power"]), (ErrorCode.RESTARTED, RESET_CAUSES["external"])]


def test_a_program_that_hangs_is_reset_by_the_watchdog(wire: Start) -> None:
    bridge = wire(fault="hang@0.1")
    told = [decode_error(frame.payload) for frame in bridge.hear(900)]
    assert told == [(ErrorCode.RESTARTED, RESET_CAUSES["watchdog"])]
    assert bridge.ask(Type.IDENTIFY).type == 0x81


def test_the_sync_tells_the_tick_at_which_it_came(wire: Start) -> None:
    bridge = wire()
    first_ns, first = bridge.far_end.now_ns, decode_sync(bridge.ask(Type.SYNC).payload)
    bridge.hear(300)  # timer 1 wraps
    later_ns, later = bridge.far_end.now_ns, decode_sync(bridge.ask(Type.SYNC).payload)
    assert later - first == pytest.approx((later_ns - first_ns) / 4_000, abs=1)


@pytest.mark.parametrize(
    ("sensor", "configuration"),
    [
        ("ina219@0x40", Configuration(0x40, 0x19, 0x3805, 0x3806, 0, 16, 24, 0)),
        ("ina226@0x45", Configuration(0x45, 0x26, 0x4127, 0x4127, 0, 1, 600, 1)),
        ("ina228@0x4f", Configuration(0x4F, 0x28, 0xA368, 0x9368, 0x10, 16, 290, 1)),
    ],
)
def test_a_configuration_is_read_back_from_the_sensor(wire: Start, sensor: str, configuration: Configuration) -> None:
    reply = wire(sensor=sensor).ask(Type.CONFIGURE, configuration.encode())
    assert (reply.type, Configuration.decode(reply.payload)) == (0x82, configuration)


def test_another_chip_is_found_by_what_it_reads_back(wire: Start) -> None:
    reply = wire(sensor="ina226@0x40").ask(Type.CONFIGURE, PAIR.encode())
    assert Configuration.decode(reply.payload).register == 0x4807  # the INA226's fixed bits


def test_what_cannot_be_done_is_refused_by_its_code(wire: Start) -> None:
    bridge = wire()
    at = PAIR.encode()
    for kind, payload, told in (
        (0x77, b"", (ErrorCode.UNKNOWN_COMMAND, 0x77)),
        (Type.CONFIGURE, at[:-1], (ErrorCode.MALFORMED, Type.CONFIGURE)),
        (Type.SYNC, b"x", (ErrorCode.MALFORMED, Type.SYNC)),
        (Type.CONFIGURE, b"\x50" + at[1:], (ErrorCode.MALFORMED, Type.CONFIGURE)),
        (Type.CONFIGURE, at[:1] + b"\x99" + at[2:], (ErrorCode.MALFORMED, Type.CONFIGURE)),
        (Type.CONFIGURE, at[:8] + b"\0" + at[9:], (ErrorCode.MALFORMED, Type.CONFIGURE)),
        (Type.CONFIGURE, at[:-1] + b"\2", (ErrorCode.MALFORMED, Type.CONFIGURE)),
        (Type.CONFIGURE, b"\x45" + at[1:], (ErrorCode.SENSOR_SILENT, 0x45)),
    ):
        reply = bridge.ask(kind, payload)
        assert (reply.type, decode_error(reply.payload)) == (Type.ERROR, told)
    bridge.ask(Type.CONFIGURE, at)
    bridge.ask(Type.BEGIN)
    for kind, payload in ((Type.CONFIGURE, at), (Type.BEGIN, b""), (Type.SELF_TEST, b"")):
        assert decode_error(bridge.ask(kind, payload).payload) == (ErrorCode.REFUSED_WHILE_STREAMING, kind)
    assert bridge.ask(Type.IDENTIFY).type == 0x81


def test_the_self_test_tells_what_is_wrong(wire: Start) -> None:
    bridge = wire(fault=["nack@0.1:0.1", "short@0.3"])
    bridge.ask(Type.CONFIGURE, PAIR.encode())
    results = []
    for until in (50, 150, 250, 350):
        while bridge.far_end.now_ns < until * 1_000_000:
            bridge.hear()
        bits, supply_mv = struct.unpack("<BH", bridge.ask(Type.SELF_TEST).payload)
        assert supply_mv == pytest.approx(5000, rel=0.01)
        results.append(bits)
    assert results == [0, 0b0110, 0, 0b0111]


def test_stop_comes_after_the_last_frame_and_a_new_set_begins_with_the_next_configuration(wire: Start) -> None:
    bridge = wire(sensor=["ina219@0x40", "ina219@0x41"])
    for address in (0x40, 0x41):
        bridge.ask(Type.CONFIGURE, bytes((address,)) + PAIR.encode()[1:])
    bridge.ask(Type.BEGIN)
    heard = bridge.hear(50)
    assert {frame.payload[8] for frame in heard} == {0x40, 0x41}
    assert [frame.sequence for frame in heard] == list(range(len(heard)))
    bridge.say(Frame(Type.STOP, 200, b"").encode())
    heard = bridge.hear(50)
    assert [frame.type for frame in heard].index(0x84) == len(heard) - 1
    bridge.ask(Type.CONFIGURE, PAIR.encode())
    bridge.ask(Type.BEGIN)
    assert {frame.payload[8] for frame in bridge.hear(50)} == {0x40}


def test_eight_sensors_are_streamed_and_a_ninth_is_refused(wire: Start, log: Log) -> None:
    addresses = range(0x40, 0x40 + MOST_SENSORS + 1)
    bridge = wire(sensor=[f"ina219@{address:#x}" for address in addresses])
    replies = [bridge.ask(Type.CONFIGURE, bytes((address,)) + PAIR.encode()[1:]) for address in addresses]
    assert [reply.type for reply in replies] == [0x82] * MOST_SENSORS + [Type.ERROR]
    assert decode_error(replies[-1].payload) == (ErrorCode.TOO_MANY_SENSORS, Type.CONFIGURE)
    bridge.ask(Type.BEGIN)
    blocks = [SampleFrame.decode(frame) for frame in bridge.hear(200) if frame.type in SAMPLE_TYPES]
    ends = {block.address: block.index + len(block.shunt) for block in blocks}
    assert len(ends) == MOST_SENSORS
    assert min(ends.values()) > 50
    assert max(ends.values()) - min(ends.values()) <= 8, "all are read once a round"
    for address in ends:
        ours = [block for block in blocks if block.address == address]
        assert all(b.index == a.index + len(a.shunt) for a, b in pairwise(ours)), "memory suffices for all"
    bridge.far_end.__exit__(None, None, None)
    (_, left) = log()[-1].what[1:]
    assert int(left) >= 48, "bytes of memory between the variables and the deepest stack"


def test_commands_are_found_among_rubbish_and_in_pieces(wire: Start) -> None:
    bridge = wire()
    broken = bytearray(Frame(Type.IDENTIFY, 1, b"").encode())
    broken[-1] ^= 1
    request = bytes(broken) + b"\xa5\xff\xff\xff rubbish " + Frame(Type.IDENTIFY, 2, b"").encode()
    bridge.say(request[:-3])
    assert [frame.sequence for frame in bridge.hear(5) if frame.type == 0x81] == []
    bridge.say(request[-3:])
    assert [frame.sequence for frame in bridge.hear(5) if frame.type == 0x81] == [2]


def test_an_unfinished_frame_hides_no_command_for_long(wire: Start) -> None:
    bridge = wire()
    false_start = bytes((0xA5, 0x01, 0x00, MAX_COMMAND_PAYLOAD))
    syncs = [Frame(Type.SYNC, sequence, b"").encode() for sequence in (1, 2)]
    bridge.say(false_start + syncs[0] + syncs[1])
    assert [frame.sequence for frame in bridge.hear(30) if frame.type == 0x85] == [2], "of the first no moment is known"


def test_what_comes_too_fast_is_told_as_lost(wire: Start) -> None:
    bridge = wire(sensor=[f"ina219@{address:#x}" for address in range(0x40, 0x50)])
    survey = Frame(Type.IDENTIFY, 9, b"").encode()
    bridge.say(survey * 40)  # each survey takes longer than the next command's bytes
    told = [decode_error(frame.payload) for frame in bridge.hear(100) if frame.type == Type.ERROR]
    assert ErrorCode.LINE_OVERRUN in {code for code, _ in told}
    assert bridge.ask(Type.IDENTIFY).type == 0x81


def test_a_reader_that_stalls_loses_bytes_and_the_log_says_how_many(wire: Start, log: Log) -> None:
    bridge = wire(when_full="drop")
    bridge.ask(Type.CONFIGURE, PAIR.encode())
    bridge.ask(Type.BEGIN)
    bridge.far_end.advance(3_000_000_000)
    dropped = sum(int(event.what[1]) for event in log() if event.what[0] == "dropped")
    assert dropped > 10_000
    heard = bridge.hear(50)
    jumps = [(b.sequence - a.sequence) % 256 for a, b in pairwise(heard)]
    assert max(jumps) > 1
    assert bridge.skipped > 0


def test_without_dropping_every_byte_waits_for_its_reader(wire: Start, log: Log) -> None:
    bridge = wire()
    bridge.ask(Type.CONFIGURE, PAIR.encode())
    bridge.ask(Type.BEGIN)
    bridge.far_end.advance(1_000_000_000)
    blocks = [SampleFrame.decode(frame) for frame in bridge.hear(200) if frame.type in SAMPLE_TYPES]
    assert all(b.index == a.index + len(a.shunt) for a, b in pairwise(blocks))
    assert blocks[-1].index > 2500
    assert bridge.skipped == 0


def test_the_emulators_i2c_takes_the_time_it_takes(emulate: Callable[..., FarEnd], log: Log) -> None:
    """A pair of polled reads takes about 4080 cycles, 3840 of them on the wire: else simavr or our bus has changed."""
    far_end = emulate(firmware="i2c_loop.elf")
    far_end.port()
    far_end.advance(100_000_000)
    cycles = [event.cycle for event in log() if event.what[:3] == ("read", "0x40", "shunt")]
    (period,) = {b - a for a, b in pairwise(cycles)}
    assert period == pytest.approx(4080, rel=0.04)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--fault=flood@1", "bridge-emulator --help"),
        ("--sensor=ina3221@0x40", "ina219"),
        ("--sensor=ina219@0x10", "0x40"),
        ("--drift-ppm=much", "no number"),
        ("--when-full=maybe", "drop or stall"),
        ("--supply=/nowhere", "/nowhere"),
    ],
)
def test_the_emulator_refuses_what_makes_no_sense(folder: Path, tmp_path: Path, option: str, words: str) -> None:
    (tmp_path / "supply").touch()
    whole = [f"--firmware={folder / 'bridge.elf'}", f"--supply={tmp_path / 'supply'}", "--supply-voltage=5"]
    command = [folder / "bridge-emulator", *whole, "--shunt-ohm=0.1", "--sensor=ina219@0x40", option]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode in (1, 2)
    assert words in done.stderr


@pytest.fixture(scope="module")
def fuzzed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    supply = tmp_path_factory.mktemp("fuzz") / "supply"
    Waveform([Segment(1.0, 1.0, 1.0)]).write(supply)
    options = {"supply": supply, "supply-voltage": 5.0, "shunt-ohm": 0.1, "sensor": ["ina219@0x40", "ina228@0x44"]}
    with firmware_end(folder, options) as far_end:
        wire = Wire(far_end)
        yield wire
        wire.close()


COMMANDS = st.builds(
    lambda kind, sequence, payload: Frame(kind, sequence, payload).encode(),
    st.one_of(st.sampled_from([kind.value for kind in Type]), st.integers(0, 255)),
    st.integers(0, 255),
    st.one_of(st.binary(max_size=MAX_COMMAND_PAYLOAD + 4), st.just(PAIR.encode())),
)


@given(st.lists(st.one_of(COMMANDS, st.binary(max_size=50)), max_size=6))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_wedge_it(fuzzed: Wire, pieces: list[bytes]) -> None:
    for piece in pieces:
        fuzzed.say(piece)
        fuzzed.hear(2)
    fuzzed.hear(15)  # an unfinished frame is given up
    assert fuzzed.ask(Type.STOP).type == 0x84
    assert fuzzed.ask(Type.CONFIGURE, PAIR.encode()).type == 0x82
    assert fuzzed.ask(Type.BEGIN).type == 0x83
    assert any(frame.type in SAMPLE_TYPES for frame in fuzzed.hear(8))
    assert fuzzed.ask(Type.STOP).type == 0x84
