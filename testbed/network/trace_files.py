"""Trace files, read whole and checked whole before anything is played.

Three formats, told apart by their first line:

- mahimahi: one integer a line, the millisecond of an opportunity to send a packet of 1,500 bytes, in order;
- CSV with a header: `time`, then `rate` (or `rate_up` and `rate_down`), and maybe `rssi`, `delay`, `jitter`, `loss`;
- a log of signal strength: the same CSV with `time` and `rssi` alone.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from statistics import median

from testbed.config.quantities import parse_quantity
from testbed.errors import BenchError
from testbed.network.conditions import MOST_BPS, MOST_DELAY_S, Condition, Standard, condition_at
from testbed.network.traces import LinkTrace, Step

PACKET_BYTES = 1500
"""what one line of a mahimahi trace lets through (mahimahi's mm-link manual)"""
BIN_S = 0.1
"""opportunities of a mahimahi trace are counted over stretches of this length"""
WEAKEST_DBM, STRONGEST_DBM = -120, -10
"""signals outside are no Wi-Fi's"""
_GAP = 5.0
"""in a log with a steady beat, a pause of more than so many beats is a gap"""
_STEADY = 0.8
"""share of a log's pauses that must lie within half a beat of the beat for it to have one"""

_COLUMNS = {
    "time": ("s", 0.0, 1e9),
    "rate": ("bit/s", 0.0, MOST_BPS),
    "rate_up": ("bit/s", 0.0, MOST_BPS),
    "rate_down": ("bit/s", 0.0, MOST_BPS),
    "rssi": ("dBm", float(WEAKEST_DBM), float(STRONGEST_DBM)),
    "delay": ("s", 0.0, MOST_DELAY_S),
    "jitter": ("s", 0.0, MOST_DELAY_S),
    "loss": ("", 0.0, 1.0),
}
"""column -> its unit, and the range of what can be meant"""
_SUFFIXES = ("_s", "_bps", "_dbm")
_FIELDS = {
    "rate": ("rate_up_bps", "rate_down_bps"),
    "rate_up": ("rate_up_bps",),
    "rate_down": ("rate_down_bps",),
    "delay": ("delay_s",),
    "jitter": ("jitter_s",),
    "loss": ("loss",),
}
"""column -> what it is of a condition"""


def read_trace(path: Path, standard: Standard = "802.11n-ht40") -> LinkTrace:
    """The trace in a file. `standard` makes rates of signals and signals of rates, where the trace lacks either.

    Raises BenchError naming the file and the line of the first mistake.
    """
    try:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BenchError(f"{path}: is not a text file in UTF-8") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1) if not line.startswith("#")]
    if not numbered:
        raise BenchError(f"{path}: is empty")
    if empty := [number for number, line in numbered if not line]:
        raise BenchError(f"{path}:{empty[0]}: is empty: a trace must have no gaps; cut it there, or fill it in")
    number, first = numbered[0]
    if re.fullmatch(r"\d+", first):
        return _mahimahi(path, numbered, standard)
    if _column(first.split(",")[0]) == "time":
        return _csv(path, first, number, numbered[1:], standard)
    raise BenchError(
        f"{path}:{number}: is neither a mahimahi trace (a whole number of milliseconds a line) nor a CSV whose first "
        "line names its columns, such as time,rate or time,rssi"
    )


def _mahimahi(path: Path, lines: Sequence[tuple[int, str]], standard: Standard) -> LinkTrace:
    times_ms: list[int] = []
    for number, line in lines:
        if not re.fullmatch(r"\d{1,12}", line):
            raise BenchError(f"{path}:{number}: '{line[:40]}' is not a whole number of milliseconds")
        time_ms = int(line)
        if times_ms and time_ms < times_ms[-1]:
            raise BenchError(f"{path}:{number}: {time_ms} ms comes after {times_ms[-1]} ms: the lines must be in order")
        times_ms.append(time_ms)
    length_ms, bin_ms = times_ms[-1], round(BIN_S * 1e3)
    if length_ms == 0:
        raise BenchError(f"{path}:{lines[-1][0]}: the trace ends at 0 ms: it has no length")
    counts = Counter(max(time_ms - 1, 0) // bin_ms for time_ms in times_ms)
    source = f"{path.name}: rate given (mahimahi, means over {bin_ms} ms); signal that of such a rate"
    steps: list[Step] = []
    for index in range(-(-length_ms // bin_ms)):
        width_s = (min((index + 1) * bin_ms, length_ms) - index * bin_ms) * 1e-3
        rate_bps = counts[index] * 8 * PACKET_BYTES / width_s
        if not steps or rate_bps != steps[-1].condition.rate_up_bps:
            steps.append(Step(index * BIN_S, _of_rates(rate_bps, rate_bps, standard, source)))
    return LinkTrace(path.name, tuple(steps), length_ms * 1e-3)


def _of_rates(up_bps: float, down_bps: float, standard: Standard, source: str) -> Condition:
    """Of a path of which rates alone are known: nothing is made up but the signal."""
    rssi_dbm = _signal_of(min(up_bps, down_bps), standard)
    return Condition(rssi_dbm, up_bps, down_bps, 0.0, 0.0, 0.0, source, proposed=("rssi_dbm",))


def _signal_of(rate_bps: float, standard: Standard) -> float:
    """The weakest signal, in whole dBm, whose median goodput reaches a rate; the strongest that counts for more."""
    signals_dbm, rates_bps = _goodput(standard)
    return float(signals_dbm[min(bisect_left(rates_bps, rate_bps * (1 - 1e-9)), len(signals_dbm) - 1)])


@lru_cache(maxsize=2)
def _goodput(standard: Standard) -> tuple[list[int], list[float]]:
    """Whole dBm from the strongest outage on, and their rates, as far as the rate grows."""
    signals_dbm, rates_bps = [WEAKEST_DBM], [0.0]
    for rssi_dbm in range(WEAKEST_DBM, STRONGEST_DBM):
        rate_bps = condition_at(float(rssi_dbm), standard).rate_up_bps
        if rate_bps == 0.0:
            signals_dbm[0] = rssi_dbm
        elif rate_bps > rates_bps[-1]:
            signals_dbm.append(rssi_dbm)
            rates_bps.append(rate_bps)
    return signals_dbm, rates_bps


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    time_s: float
    values: dict[str, float]


def _csv(path: Path, header: str, header_line: int, lines: Sequence[tuple[int, str]], standard: Standard) -> LinkTrace:
    columns = _columns(path, header, header_line)
    rows = [_row(path, number, line, columns) for number, line in lines]
    if len(rows) < 2:
        raise BenchError(f"{path}: has {len(rows)} rows; a trace needs two at least")
    for before, row in pairwise(rows):
        if row.time_s <= before.time_s:
            raise BenchError(
                f"{path}:{row.line}: {row.time_s:g} s does not come after {before.time_s:g} s: times must increase"
            )
    beat_s = _beat_s(path, rows)
    to_condition = _conditions(path.name, columns, standard)
    steps = tuple(Step(row.time_s - rows[0].time_s, to_condition(row.values)) for row in rows)
    return LinkTrace(path.name, steps, steps[-1].at_s + beat_s)


def _column(written: str) -> str:
    name = written.strip().lower()
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _columns(path: Path, header: str, line: int) -> list[str]:
    columns = [_column(cell) for cell in header.split(",")]
    if unknown := [name for name in columns if name not in _COLUMNS]:
        raise BenchError(f"{path}:{line}: there is no column '{unknown[0]}'; there are: {', '.join(_COLUMNS)}")
    if twice := [name for name, count in Counter(columns).items() if count > 1]:
        raise BenchError(f"{path}:{line}: the column '{twice[0]}' stands there twice")
    one_way = {"rate_up", "rate_down"} & set(columns)
    if "rate" in columns and one_way:
        raise BenchError(f"{path}:{line}: 'rate' is that of both directions: give it, or 'rate_up' and 'rate_down'")
    if len(one_way) == 1:
        raise BenchError(f"{path}:{line}: '{one_way.pop()}' is the rate of one direction: give the other one too")
    if not {"rate", "rate_up", "rssi"} & set(columns):
        raise BenchError(f"{path}:{line}: the trace has neither a column 'rate' nor 'rssi'")
    return columns


def _row(path: Path, number: int, line: str, columns: Sequence[str]) -> _Row:
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != len(columns):
        raise BenchError(f"{path}:{number}: {len(cells)} values for the columns {', '.join(columns)}")
    values = {name: _value(f"{path}:{number}: {name}", name, cell) for name, cell in zip(columns, cells, strict=True)}
    return _Row(number, values.pop("time"), values)


def _value(where: str, column: str, cell: str) -> float:
    unit, low, high = _COLUMNS[column]
    if not cell:
        raise BenchError(f"{where} is missing: a trace must have no gaps; cut it there, or fill it in")
    try:
        value = float(cell)
    except ValueError:
        try:
            value = float(str(parse_quantity(cell, unit))) if unit else math.nan
        except ValueError as error:
            raise BenchError(f"{where}: {error}") from None
    if not math.isfinite(value):
        raise BenchError(f"{where}: '{cell[:40]}' is not a number")
    if not low <= value <= high:
        raise BenchError(f"{where}: {cell[:40]} is not within {low:g} to {high:g}{f' {unit}' if unit else ''}")
    return value


def _beat_s(path: Path, rows: Sequence[_Row]) -> float:
    """The usual time from one row to the next, which the last one is held for.

    Raises BenchError where a log that has a beat misses some: what the link was like meanwhile nobody knows.
    """
    pauses = [after.time_s - before.time_s for before, after in pairwise(rows)]
    beat_s = median(pauses)
    steady = sum(abs(pause - beat_s) <= beat_s / 2 for pause in pauses) >= _STEADY * len(pauses)
    for row, pause in zip(rows[1:], pauses, strict=True):
        if steady and pause > _GAP * beat_s:
            raise BenchError(
                f"{path}:{row.line}: a gap of {pause:g} s in a log of one row every {beat_s:g} s: "
                "cut it there, or fill it in"
            )
    return beat_s


def _conditions(name: str, columns: Iterable[str], standard: Standard) -> Callable[[dict[str, float]], Condition]:
    def from_signal(values: dict[str, float]) -> Condition:
        return _named(condition_at(values["rssi"], standard).with_given(_given(values)))

    def from_rates(values: dict[str, float]) -> Condition:
        given = _given(values)
        up_bps, down_bps = given.pop("rate_up_bps"), given.pop("rate_down_bps")
        return _named(
            _of_rates(up_bps, down_bps, standard, "rate as given, signal that of such a rate").with_given(given)
        )

    def _named(condition: Condition) -> Condition:
        return replace(condition, source=f"{name}: {condition.source}")

    return from_signal if "rssi" in columns else from_rates


def _given(values: dict[str, float]) -> dict[str, float]:
    return {field: values[name] for name, fields in _FIELDS.items() if name in values for field in fields}
