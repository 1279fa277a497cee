"""How columns of the table of trials are made: from the run, the trial, or the free facts the trial holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from results.dataset.columns import COUNT, FLAG, NAME, REAL, TEXT, Column
from results.dataset.source import RunFacts
from results.records import Facts, TrialRecord


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial and the run it is of."""

    run: RunFacts
    trial: TrialRecord


TrialColumn: TypeAlias = Column[TrialRow]


def of_run(name: str, kind: pa.DataType, unit: str, says: str, attribute: str) -> TrialColumn:
    """The same for all trials of a run: an attribute of `RunFacts`, by its dotted path."""
    get = attrgetter(attribute)
    return Column(name, kind, unit, says, lambda row: get(row.run))


def of_trial(name: str, kind: pa.DataType, unit: str, says: str, path: str = "", nullable: bool = False) -> TrialColumn:
    """The attribute `path` of the trial, or that of the column's own name; null where a record on the way is None."""
    steps = (path or name).split(".")

    def get(row: TrialRow) -> Any:
        value: Any = row.trial
        for step in steps:
            if value is None:
                return None
            value = getattr(value, step)
        return value

    return Column(name, kind, unit, says, get, nullable)


def words(name: str, says: str, get: Callable[[TrialRecord], str | None], nullable: bool = False) -> TrialColumn:
    """A name that people chose, without what is private."""

    def of(row: TrialRow) -> str | None:
        value = get(row.trial)
        return None if value is None else row.run.private.text(value)

    return Column(name, NAME, "", says, of, nullable)


def feature(name: str, unit: str, says: str) -> TrialColumn:
    """Of the neural network that the trial's workload runs."""
    kind = NAME if name == "model" else COUNT
    attribute = "name" if name == "model" else name.removeprefix("model_")

    def of(row: TrialRow) -> Any:
        network = row.run.header.networks.get(row.trial.workload)
        return None if network is None else getattr(network, attribute)

    return Column(name, kind, unit, says, of, nullable=True)


def fact(
    name: str, kind: pa.DataType, unit: str, says: str, where: Callable[[TrialRecord], Facts], *keys: str
) -> TrialColumn:
    """A number or truth value in the trial's free facts, below these keys; null where it is not there."""
    convert = float if kind is REAL else bool

    def of(row: TrialRow) -> Any:
        value: Any = where(row.trial)
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return convert(value) if isinstance(value, (int, float)) else None

    return Column(name, kind, unit, says, of, nullable=True)


def as_json(name: str, says: str, get: Callable[[TrialRecord], Any]) -> TrialColumn:
    """Facts whole, without what is private."""
    return Column(name, TEXT, "", says, lambda row: row.run.private.json(get(row.trial)))


def latency(name: str, says: str, summarise: Callable[[tuple[float, ...]], float]) -> TrialColumn:
    """A figure of a trial's latencies; null where there are none."""
    return Column(
        name, REAL, "s", says, lambda row: summarise(row.trial.latencies_s) if row.trial.latencies_s else None, True
    )


def p99(latencies_s: tuple[float, ...]) -> float:
    """Linearly interpolated between the two nearest."""
    return float(np.percentile(latencies_s, 99))


_LINK_FACTS = (
    ("rssi_dbm", "dBm", "signal"),
    ("rate_up_bps", "bit/s", "rate from the board"),
    ("rate_down_bps", "bit/s", "rate to the board"),
    ("delay_s", "s", "delay one way"),
    ("jitter_s", "s", "standard deviation of the delay"),
    ("loss", "1", "fraction of packets lost"),
)
_LINKS = (("link", "towards the cloud"), ("peer_link", "towards the connected edge device"))


def _asked(trial: TrialRecord) -> Facts:
    return trial.condition.asked


def _applied(trial: TrialRecord) -> Facts:
    return trial.condition.applied


CONDITIONS = tuple(
    fact(f"{verb}_{link}_{part}", REAL, unit, f"{verb} {says} {where}; null without a link or a limit", get, link, part)
    for verb, get in (("asked", _asked), ("applied", _applied))
    for link, where in _LINKS
    for part, unit, says in _LINK_FACTS
)
CO_RUNNERS = tuple(
    fact(
        f"{verb}_co_{part}", REAL, "1", f"{verb} load of co-running applications on the {part}", get, "co_runner", part
    )
    for verb, get in (("asked", _asked), ("applied", _applied))
    for part in ("cpu", "memory")
)
STATE = tuple(
    fact(f"state_{name}", REAL, unit, f"what the policy was shown: {says}", lambda trial: trial.state, name)
    for name, unit, says in (
        ("co_cpu", "1", "CPU utilisation of co-running applications"),
        ("co_memory", "1", "memory-bandwidth utilisation of co-running applications"),
        ("rssi_dbm", "dBm", "signal towards the cloud"),
        ("peer_rssi_dbm", "dBm", "signal towards the connected edge device"),
    )
)
OBSERVED = tuple(
    fact(
        f"observed_{name}", kind, unit, f"read from the board at the trial: {says}", lambda trial: trial.observed, name
    )
    for name, kind, unit, says in (
        ("frequency_hz", REAL, "Hz", "frequency of the processor used"),
        ("temperature_c", REAL, "degC", "its temperature"),
        ("throttled", FLAG, "", "whether the board had throttled itself"),
        ("rssi_dbm", REAL, "dBm", "signal its radio received"),
    )
)
