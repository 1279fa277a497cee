"""Streams of chance, each named by what it is for: the same name and seed, the same chance, whoever asks."""

from __future__ import annotations

from zlib import crc32


def stream(seed: int, *names: str) -> list[int]:
    """Words to seed a generator with."""
    return [seed, *(crc32(name.encode()) for name in names)]
