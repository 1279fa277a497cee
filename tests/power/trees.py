"""Temporary /proc and /sys trees, rewritten while a sampler reads them, and patience with a busy machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from power import TraceIncomplete

T = TypeVar("T")
ATTEMPTS = 5


def put(path: Path, text: object) -> None:
    """One file's new text, whole at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_text(f"{text}\n")
    fresh.replace(path)


def put_all(folder: Path, texts: Mapping[str, object]) -> None:
    for name, text in texts.items():
        put(folder / name, text)


def patiently(measure: Callable[[], T]) -> T:
    """What lost too many samples, because this machine is busy, is measured again, as a run does."""
    for _ in range(ATTEMPTS - 1):
        try:
            return measure()
        except TraceIncomplete:
            continue
    return measure()
