"""Tables of latencies and powers that others measured, as the records of a board.

CSV with a header and the columns board, model, target, precision, frequency_hz, latency_s, power_w, energy_j, accuracy.
SI units. `frequency_hz` may be empty, and of `power_w` and `energy_j` one; a column that is always empty may be absent.
Several rows of one action are several trials. A row that cannot be is left out, and counted.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from scheduler.contract import Action
from testbed.arena.config import ArenaWorkload
from testbed.arena.contract import Sample
from testbed.arena.replay import Condition, Records, Surroundings, Trial, missing
from testbed.errors import BenchError

COLUMNS = ("board", "model", "target", "precision", "latency_s", "accuracy")
OPTIONAL = ("frequency_hz", "power_w", "energy_j")
PRECISIONS = ("fp32", "fp16", "int8")
ENVIRONMENT = "S1"
"""of every row: as measured, nothing beside it"""
_UNDISTURBED = Surroundings(co_cpu=0.0, co_memory=0.0, rssi_dbm=-58.0, peer_rssi_dbm=-58.0)

_ALIKE = Condition(load=(0, 0), signal=-6, peer_signal=-6)


class _Dropped(Exception):
    pass


def read(file: Path, board: str, workloads: Sequence[ArenaWorkload]) -> Records:
    """The rows of one board. Raises BenchError for a file that is no such table, or has nothing of the board."""
    workload_of = {workload.model: workload.name for workload in workloads}
    dropped: Counter[str] = Counter()
    trials: list[Trial] = []
    accuracy: dict[str, dict[str, float]] = {}
    for row in _rows(file):
        if row["board"] != board or row["model"] not in workload_of:
            continue
        workload = workload_of[row["model"]]
        try:
            action, sample, correct = _parsed(row)
        except _Dropped as reason:
            dropped[str(reason)] += 1
            continue
        accuracy.setdefault(workload, {})[action.precision] = correct
        trials.append(Trial(workload, ENVIRONMENT, _ALIKE, _UNDISTURBED, action, sample))
    if not trials:
        raise BenchError(f"{file}: no usable row of board '{board}' and the experiment's models; look at both names")
    notes = [f"{count} rows dropped: {reason}" for reason, count in sorted(dropped.items())]
    return Records(
        provenance=f"replay of {file.name}, a table of others' measurements",
        actions=tuple(sorted({trial.action for trial in trials}, key=str)),
        trials=tuple(trials),
        accuracy=accuracy,
        idle_power_w=None,
        notes=(*notes, *missing(trials, sorted(workload_of.values()))),
    )


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            found = list(reader.fieldnames or ())
            if lacking := [name for name in COLUMNS if name not in found]:
                raise BenchError(f"{file}: the column {', '.join(lacking)} is missing; it has {', '.join(found)}")
            if unknown := [name for name in found if name not in (*COLUMNS, *OPTIONAL)]:
                raise BenchError(f"{file}: unknown column {', '.join(unknown)}; known: {', '.join(COLUMNS + OPTIONAL)}")
            return [{name: (row.get(name) or "").strip() for name in COLUMNS + OPTIONAL} for row in reader]
    except OSError as error:
        raise BenchError(f"{file}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{file}: is no CSV in UTF-8: {error}") from None


def _parsed(row: Mapping[str, str]) -> tuple[Action, Sample, float]:
    if not row["target"]:
        raise _Dropped("no target")
    if row["precision"] not in PRECISIONS:
        raise _Dropped(f"precision is none of {', '.join(PRECISIONS)}")
    frequency_hz = _above_zero(row, "frequency_hz") if row["frequency_hz"] else None
    latency_s = _above_zero(row, "latency_s")
    energy_j = _above_zero(row, "energy_j") if row["energy_j"] else latency_s * _above_zero(row, "power_w")
    accuracy = _number(row, "accuracy")
    if not 0.0 <= accuracy <= 1.0:
        raise _Dropped("accuracy outside 0..1")
    return Action(row["target"], row["precision"], frequency_hz), Sample(latency_s, energy_j), accuracy


def _above_zero(row: Mapping[str, str], column: str) -> float:
    number = _number(row, column)
    if not number > 0.0:
        raise _Dropped(f"{column} not above zero")
    return number


def _number(row: Mapping[str, str], column: str) -> float:
    try:
        number = float(row[column])
    except ValueError:
        raise _Dropped(f"{column} is no number") from None
    if not math.isfinite(number):
        raise _Dropped(f"{column} is no number")
    return number
