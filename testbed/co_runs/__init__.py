"""Recorded utilisation, to be replayed by a co-runner: `time_s,cpu,memory`, after a statement of where it comes from.

Shares are of the board's CPU and of its memory bandwidth; each row holds until the next, the last one for as long as
the one before it, and then the recording begins again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import isfinite
from pathlib import Path

from testbed.errors import BenchError

SHIPPED = ("music-player", "web-browser")
"""by name, without a path"""
_COLUMNS = ["time_s", "cpu", "memory"]
_MOST_BYTES = 10_000_000
_ROW_S = 1.0
"""of a recording of one row"""


@dataclass(frozen=True, slots=True)
class Recording:
    """Utilisation over time."""

    origin: str
    """where it comes from, as its file states; "of unstated origin" where it does not"""
    times_s: tuple[float, ...]
    """ascending from 0"""
    loads: tuple[tuple[float, float], ...]
    """(cpu, memory) from each time on"""

    @property
    def length_s(self) -> float:
        """Of one round."""
        last_s = self.times_s[-1] - self.times_s[-2] if len(self.times_s) > 1 else _ROW_S
        return self.times_s[-1] + last_s

    def at(self, time_s: float) -> tuple[float, float]:
        """(cpu, memory) at a moment, round and round."""
        return self.loads[bisect_right(self.times_s, time_s % self.length_s) - 1]


def read_recording(named: str) -> Recording:
    """One that is shipped, by its name, or a file. Raises BenchError naming the line that is wrong."""
    return _read(named)


@lru_cache(maxsize=16)
def _read(named: str) -> Recording:
    try:
        place = files(__package__) / f"{named}.csv" if named in SHIPPED else Path(named)
        content = place.read_bytes()
        if len(content) > _MOST_BYTES:
            raise BenchError(f"{named}: is larger than {_MOST_BYTES / 1e6:.0f} MB; thin it out, or cut it")
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        known = ", ".join(SHIPPED)
        raise BenchError(f"replay {named}: cannot be read: {error.strerror}; shipped are: {known}") from None
    except UnicodeDecodeError:
        raise BenchError(f"{named}: is not a text file in UTF-8") from None
    return parse_recording(lines, named)


def parse_recording(lines: list[str], named: str) -> Recording:
    """From the lines of a file. Raises BenchError naming the line that is wrong."""
    said = [line.lstrip("# ").rstrip() for line in lines if line.startswith("#")]
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    if not rows or rows[0][1].replace(" ", "").split(",") != _COLUMNS:
        raise BenchError(f"{named}: its first row must be {','.join(_COLUMNS)}, before it only lines that begin with #")
    found = list(_rows(rows[1:], named))
    if not found:
        raise BenchError(f"{named}: holds no row")
    times_s = tuple(time_s for time_s, _, _ in found)
    loads = tuple((cpu, memory) for _, cpu, memory in found)
    return Recording(" ".join(filter(None, said)) or "of unstated origin", times_s, loads)


def _rows(rows: list[tuple[int, str]], named: str) -> Iterator[tuple[float, float, float]]:
    before_s = None
    for number, line in rows:
        try:
            time_s, cpu, memory = map(float, line.split(","))
        except ValueError:
            raise BenchError(f"{named}:{number}: '{line[:60]}' is not three numbers") from None
        if not (0.0 <= cpu <= 1.0 and 0.0 <= memory <= 1.0):
            raise BenchError(f"{named}:{number}: cpu and memory are shares, from 0 to 1")
        if not isfinite(time_s) or (time_s != 0.0 if before_s is None else time_s <= before_s):
            wanted = "begin at 0" if before_s is None else f"go on after {before_s:g}"
            raise BenchError(f"{named}:{number}: times must {wanted}, not {time_s:g} s")
        before_s = time_s
        yield time_s, cpu, memory
