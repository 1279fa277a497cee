"""What a board's memory gives: shares of its bandwidth are shares of this."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_BLOCK_BYTES = 16 << 20
"""of source and target each, on every core: beyond the last cache of the boards this is for"""
_DURATION_S = 0.2


def copy_bytes_per_s(cores: int) -> float:
    """Bytes read and written a second when every core copies at once."""
    with ThreadPoolExecutor(cores) as pool:
        return sum(pool.map(_copy, range(cores)))


def _copy(_: int) -> float:
    source = np.ones(_BLOCK_BYTES, np.uint8)
    target = np.zeros_like(source)
    moved, passed_s, begun_s = 0, 0.0, time.monotonic()
    while passed_s < _DURATION_S:
        np.copyto(target, source)
        moved += 2 * _BLOCK_BYTES
        passed_s = time.monotonic() - begun_s
    return moved / passed_s
