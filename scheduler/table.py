"""AutoScale's table of 16-bit values: their code, and the file they are kept in."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from scheduler.contract import Action
from scheduler.features import Bins

FORMAT = "autoscale-table"
VERSION = 1
LARGEST = 65504.0
"""largest half-precision number; values beyond it are clipped"""

_HALF = Struct("<e")
_BITS = Struct("<H")
_BYTES_OF_CRC = Struct("<I")


class TableFileError(ValueError):
    """A table file that cannot be used, with the reason and the cure."""


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


def save_table(path: Path, table: Table) -> None:
    """Write a table: a line of JSON, the codes as little-endian 16-bit rows, and the CRC-32 of both.

    A reader sees the old file or the new one, never half of one.
    """
    header = {
        "format": FORMAT,
        "version": VERSION,
        "actions": [[action.target, action.precision, action.frequency_hz] for action in table.actions],
        "bins": table.bins.edges(),
        "reward": table.reward,
    }
    content = json.dumps(header).encode() + b"\n" + table.codes.astype("<i2").tobytes()
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        file.write(content + _BYTES_OF_CRC.pack(crc32(content)))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load_table(path: Path) -> Table:
    """Read a table. Raises TableFileError when the file is damaged, of another kind or another version."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        raise TableFileError(f"{path}: there is no such file; train a table and save it first") from None
    if not whole.startswith(b'{"format": "' + FORMAT.encode() + b'"'):
        raise TableFileError(f"{path}: this is no {FORMAT} file")
    content, crc = whole[: -_BYTES_OF_CRC.size], whole[-_BYTES_OF_CRC.size :]
    if _BYTES_OF_CRC.pack(crc32(content)) != crc:
        raise TableFileError(f"{path}: the file is damaged; save it again")
    line, _, cells = content.partition(b"\n")
    header = json.loads(line)
    if header["version"] != VERSION:
        raise TableFileError(
            f"{path}: version {header['version']} of {FORMAT}, this program reads {VERSION}; train and save again"
        )
    actions = tuple(Action(target, precision, frequency_hz) for target, precision, frequency_hz in header["actions"])
    bins = Bins(**{name: tuple(edges) for name, edges in header["bins"].items()})
    codes = np.frombuffer(cells, "<i2").reshape(bins.rows, len(actions)).astype(np.int16)
    return Table(actions, bins, header["reward"], codes)


def require(table: Table, actions: Sequence[Action], reward: str) -> None:
    """Raises TableFileError unless the table was learnt for these actions, in this order, under this reward."""
    if table.actions != tuple(actions):
        missing = [str(action) for action in table.actions if action not in actions]
        added = [str(action) for action in actions if action not in table.actions]
        raise TableFileError(
            f"the table belongs to another set of actions: it has {_few(missing)} that are not on offer and lacks "
            f"{_few(added)}; transfer it to this board's actions first"
            if missing or added
            else "the table has the same actions in another order; offer them in the table's order"
        )
    if table.reward != reward:
        raise TableFileError(f"the table was learnt under the reward '{table.reward}'; choose that, not '{reward}'")


def _few(names: Sequence[str]) -> str:
    return "none" if not names else ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
