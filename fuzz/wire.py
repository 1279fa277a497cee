"""How a target reads its input: pieces of a stream, raw or framed, cut up at will."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def pieces(data: bytes, frame: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Each piece is a length byte, bit 7 of which has it framed: no fuzzer finds a check sum by itself.

    What is framed is handed out in two parts.
    """
    at = 0
    while at < len(data):
        length, is_framed = data[at] & 0x7F, data[at] & 0x80
        piece = data[at + 1 : at + 1 + length]
        at += 1 + length
        if not is_framed:
            yield piece
            continue
        framed = frame(piece)
        cut = length % (len(framed) + 1)
        yield framed[:cut]
        yield framed[cut:]
