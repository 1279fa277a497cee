"""The INA bridge's stream: frames found, each read as every type it could be."""

from __future__ import annotations

from contextlib import suppress

from fuzz.wire import pieces
from power import bridge_protocol as protocol
from power.errors import Unintelligible

PAYLOADS = (
    protocol.Identity.decode,
    protocol.Configuration.decode,
    protocol.decode_sync,
    protocol.decode_error,
)


def _framed(body: bytes) -> bytes:
    return protocol.Frame(body[0] if body else 0, 0, body[1:]).encode()


def one(data: bytes) -> None:
    """Nothing but `Unintelligible` is raised."""
    decoder = protocol.Decoder()
    for piece in pieces(data, _framed):
        for frame in decoder.feed(piece):
            for decode in PAYLOADS:
                with suppress(Unintelligible):
                    decode(frame.payload)
            if frame.type in protocol.SAMPLE_TYPES:
                with suppress(Unintelligible):
                    protocol.SampleFrame.decode(frame)
