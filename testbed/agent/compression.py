"""Bodies compressed as HTTP names it: gzip, and deflate, which is zlib's form."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from types import MappingProxyType

_WINDOW_BITS: Mapping[str, int] = MappingProxyType({"gzip": 31, "deflate": 15})
_LEVEL = 1
"""the fastest: what saves the radio a byte must not cost the CPU more"""


class CannotInflate(ValueError):
    """Not compressed as it says, or larger than it may be."""


def deflate(body: bytes, coding: str) -> bytes:
    """The body compressed by "gzip" or "deflate"."""
    compressor = zlib.compressobj(_LEVEL, wbits=_WINDOW_BITS[coding])
    return compressor.compress(body) + compressor.flush()


def inflate(body: bytes | memoryview, coding: str, most_bytes: int) -> bytes:
    """The body as it was before. Raises CannotInflate."""
    if coding not in _WINDOW_BITS:
        raise CannotInflate(f"content encoding '{coding[:20]}' is neither of {', '.join(_WINDOW_BITS)}")
    inflater = zlib.decompressobj(_WINDOW_BITS[coding])
    try:
        plain = inflater.decompress(body, most_bytes)
    except zlib.error as error:
        raise CannotInflate(f"the body is not {coding}: {error}") from None
    if inflater.unconsumed_tail:
        raise CannotInflate(f"the body is over {most_bytes} bytes when inflated")
    if not inflater.eof or inflater.unused_data:
        raise CannotInflate(f"the body does not end where its {coding} does")
    return plain
