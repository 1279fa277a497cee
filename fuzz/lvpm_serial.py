"""The stock LVPM's stream: packets found, samples converted."""

from __future__ import annotations

from fuzz.wire import pieces
from power.monsoon_protocol import Decoder, encode
from power.monsoon_stream import Converter

LONGEST_PACKET = 255
"""what the decoder may hold back"""


def one(data: bytes) -> None:
    """Nothing is raised, nothing is kept, and every sample has its current."""
    decoder, converter = Decoder(), Converter((0, 1, 2), 125e-6)
    for piece in pieces(data, encode):
        packets = decoder.feed(piece)
        assert decoder.held <= LONGEST_PACKET
        assert len(packets.words) == packets.count.sum()
        for run in converter.runs(packets):
            assert run is None or run.current_a.shape == (3, len(run))
