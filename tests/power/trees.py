"""Temporary /proc and /sys trees, rewritten while a sampler reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def put(path: Path, text: object) -> None:
    """One file's new text, whole at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_text(f"{text}\n")
    fresh.replace(path)


def put_all(folder: Path, texts: Mapping[str, object]) -> None:
    for name, text in texts.items():
        put(folder / name, text)
