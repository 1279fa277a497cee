"""Files of what was learnt: a line of JSON that says what it is, the numbers, and a checksum of both."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from struct import Struct
from typing import Any
from zlib import crc32

from scheduler.contract import Action

_CRC = Struct("<I")


class LearntFileError(ValueError):
    """A file of what was learnt that cannot be used, with the reason and the cure."""


def pack(header: Mapping[str, Any], payload: bytes) -> bytes:
    """The content of a file. `header` starts with `format` and `version`."""
    content = json.dumps(header).encode() + b"\n" + payload
    return content + _CRC.pack(crc32(content))


def unpack(content: bytes, kind: str, version: int, name: str) -> tuple[dict[str, Any], bytes]:
    """Header and payload. Raises LearntFileError when damaged, of another format than `kind`, or another version.

    `name` is what messages call the file.
    """
    if not content.startswith(b'{"format": "' + kind.encode() + b'"'):
        raise LearntFileError(f"{name}: this is no {kind} file")
    whole, crc = content[: -_CRC.size], content[-_CRC.size :]
    if _CRC.pack(crc32(whole)) != crc:
        raise LearntFileError(f"{name}: the file is damaged; save it again")
    line, _, payload = whole.partition(b"\n")
    header: dict[str, Any] = json.loads(line)
    if header["version"] != version:
        raise LearntFileError(
            f"{name}: version {header['version']} of {kind}, this program reads {version}; train and save again"
        )
    return header, payload


def write_whole(path: Path, content: bytes) -> None:
    """A reader sees the old file or the new one, never half of one, even when the power fails. Raises OSError."""
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def listed(actions: tuple[Action, ...]) -> list[list[str | float | None]]:
    """Actions as JSON holds them."""
    return [[action.target, action.precision, action.frequency_hz] for action in actions]


def unlisted(rows: list[Any]) -> tuple[Action, ...]:
    """Actions from JSON."""
    return tuple(Action(target, precision, frequency_hz) for target, precision, frequency_hz in rows)


def require_same(known: tuple[Action, ...], actions: tuple[Action, ...], what: str) -> None:
    """Raises LearntFileError unless what was learnt for the `known` actions serves these, in this order."""
    if known == actions:
        return
    missing = [str(action) for action in known if action not in actions]
    added = [str(action) for action in actions if action not in known]
    raise LearntFileError(
        f"the {what} belongs to another set of actions: it has {_few(missing)} that are not on offer and lacks "
        f"{_few(added)}; transfer it to this board's actions first"
        if missing or added
        else f"the {what} has the same actions in another order; offer them in the {what}'s order"
    )


def _few(names: list[str]) -> str:
    return "none" if not names else ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
