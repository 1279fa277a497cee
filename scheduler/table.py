"""AutoScale's table of 16-bit values: their code, and the file they are kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from scheduler.contract import Action
from scheduler.features import Bins
from scheduler.files import LearntFileError, listed, pack, require_same, unlisted, unpack, write_whole

FORMAT = "autoscale-table"
VERSION = 1
LARGEST = 65504.0
"""largest half-precision number; values beyond it are clipped"""

_HALF = Struct("<e")
_BITS = Struct("<H")


def encode(value: float) -> int:
    """Value -> signed 16-bit code: half precision (11 significant bits at any scale), clipped to +-65,504.

    The bits of a half-precision number are a sign and a magnitude that sorts like the number. The code of a negative
    number is that magnitude negated, so codes sort like the values: the best action has the largest code.
    """
    try:
        half = _HALF.pack(value)
    except OverflowError:
        half = _HALF.pack(LARGEST if value > 0.0 else -LARGEST)
    bits: int = _BITS.unpack(half)[0]
    return bits if bits < 0x8000 else 0x8000 - bits


def decode(code: int) -> float:
    """Signed 16-bit code -> value."""
    value: float = _HALF.unpack(_BITS.pack(code if code >= 0 else 0x8000 - code))[0]
    return value


@dataclass(frozen=True, slots=True)
class Table:
    """A trained table with all that gives its numbers their meaning."""

    actions: tuple[Action, ...]
    bins: Bins
    reward: str
    """name of the reward that the values were learnt under"""
    codes: NDArray[np.int16]
    """shape (bins.rows, len(actions)); see `encode`"""


def encode_table(table: Table) -> bytes:
    """The content of a table file: a line of JSON, the codes as little-endian 16-bit rows, and the CRC-32 of both."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "actions": listed(table.actions),
        "bins": table.bins.edges(),
        "reward": table.reward,
    }
    return pack(header, table.codes.astype("<i2").tobytes())


def decode_table(content: bytes, name: str) -> Table:
    """Raises LearntFileError when the content is damaged, of another kind or another version."""
    header, cells = unpack(content, FORMAT, VERSION, name)
    actions = unlisted(header["actions"])
    bins = Bins(**{feature: tuple(edges) for feature, edges in header["bins"].items()})
    codes = np.frombuffer(cells, "<i2").reshape(bins.rows, len(actions)).astype(np.int16)
    return Table(actions, bins, header["reward"], codes)


def save_table(path: Path, table: Table) -> None:
    """Write a table; a reader sees the old file or the new one, never half of one."""
    write_whole(path, encode_table(table))


def load_table(path: Path) -> Table:
    """Read a table. Raises LearntFileError when there is none, or one that cannot be used."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise LearntFileError(f"{path}: there is no such file; train a table and save it first") from None
    return decode_table(content, str(path))


def require(table: Table, actions: Sequence[Action], reward: str) -> None:
    """Raises LearntFileError unless the table was learnt for these actions, in this order, under this reward."""
    require_same(table.actions, tuple(actions), "table")
    if table.reward != reward:
        raise LearntFileError(f"the table was learnt under the reward '{table.reward}'; choose that, not '{reward}'")
