"""Decoding an LVPM's stream to SI columns, beside the packet loop of the field: `python -m bench monsoon_decoding`.

Both take the same bytes, in turn, in the same process, check every check sum and work out three currents and a voltage.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from statistics import median

from bench.figure import Figure
from bench.monsoon_frames import RATE_HZ, mixed, packets, uniform
from bench.monsoon_peer import PacketLoop
from power.monsoon_protocol import VOLTAGE_LSB_V, Decoder
from power.monsoon_stream import Converter

SECONDS, ROUNDS, SEED = 40, 7, 3
FILE_CHUNK, STREAM_S = 1 << 18, 0.02
"""bytes at a time from a file; how often the driver reads a port"""
LENGTHS: tuple[tuple[str, Callable[[], int], float], ...] = (
    ("1 to 7 samples a packet", mixed(SEED), 10.0),
    ("7 samples a packet", uniform(7), 30.0),
    ("31 samples a packet", uniform(31), 30.0),
)
"""name, samples a packet, goal of the ratio"""


def ours(wire: bytes, chunk: int) -> int:
    """Samples decoded, so many bytes at a time."""
    decoder, converter = Decoder(), Converter((0, 1, 2), VOLTAGE_LSB_V)
    count = 0
    for at in range(0, len(wire), chunk):
        count += sum(len(run) for run in converter.runs(decoder.feed(wire[at : at + chunk])) if run is not None)
    return count


def peer(wire: bytes) -> int:
    """Samples decoded, packet by packet."""
    loop = PacketLoop(io.BytesIO(wire).read)
    count = 0
    while (columns := loop.collect()) is not None:
        count += len(columns[0])
    return count


def figures() -> Iterator[Figure]:
    """How many times as fast from a file, and the CPU share of a stream as it comes."""
    for name, size, goal in LENGTHS:
        wire = b"".join(packets(SECONDS * RATE_HZ, size, SEED))
        chunk = round(len(wire) / SECONDS * STREAM_S)
        count = SECONDS * RATE_HZ
        if not ours(wire, FILE_CHUNK) == ours(wire, chunk) == peer(wire) == count:
            raise RuntimeError("the two decoders do not find the same samples")
        ways = (lambda w: ours(w, FILE_CHUNK), peer, lambda w, c=chunk: ours(w, c))
        rounds = [[_cpu_s(way, wire) for way in ways] for _ in range(ROUNDS)]
        file_s, peer_s, stream_s = (median(times) for times in zip(*rounds, strict=True))
        ratio = median(theirs / own for own, theirs, _ in rounds)
        yield Figure(
            name=f"LVPM decoding: times as fast as the packet loop, {name}",
            value=ratio,
            unit="1",
            reference=f"{file_s / count * 1e9:.0f} ns a sample against {peer_s / count * 1e9:.0f}",
            goal=f">= {goal:g}",
            holds=ratio >= goal,
            provenance=f"CPU time here, {FILE_CHUNK >> 10} KiB at a time, median of {ROUNDS} rounds in turn",
        )
        yield Figure(
            name=f"LVPM decoding: CPU share of a stream, {name}",
            value=stream_s / SECONDS,
            unit="1",
            reference=f"packet loop: {peer_s / SECONDS:.4f}",
            goal=None,
            holds=None,
            provenance=f"CPU time here, 5 kHz taken every {STREAM_S * 1e3:g} ms, without the port's own cost",
        )


def _cpu_s(way: Callable[[bytes], int], wire: bytes) -> float:
    begun_s = time.process_time()
    way(wire)
    return time.process_time() - begun_s
