"""What was asked beside what was found: frequencies of the board, conditions of the path and of its load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from results.cells import LEFT_OUT
from results.names import environment_order
from results.records import TrialRecord

OFF = 0.01
"""a frequency further than this fraction from what was asked is another one"""

Seen = Callable[[TrialRecord], Any]


@dataclass(frozen=True, slots=True)
class Range:
    """Of some numbers."""

    low: float
    middle: float
    """median"""
    high: float

    @classmethod
    def of(cls, values: Iterable[Any]) -> Range | None:
        """None where there is no number among them."""
        known = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        return cls(min(known), median(known), max(known)) if known else None


@dataclass(frozen=True, slots=True)
class Frequency:
    """One setting of one target, in hertz."""

    target: str
    asked_hz: float
    observed_hz: Range | None
    trials: int
    off: int
    """trials whose frequency read back was another one"""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity of one environment."""

    name: str
    unit: str
    asked: Range | None
    read_back: Range | None
    """from the link or the board that was set"""
    probed: Range | None
    """by what is not set but meets it: the radio, probes of the path, the board's own load"""


def frequencies(trials: Iterable[TrialRecord]) -> list[Frequency]:
    """By target and frequency."""
    found: dict[tuple[str, float], list[Any]] = {}
    for trial in trials:
        if trial.action and trial.action.frequency_hz is not None and trial.outcome not in LEFT_OUT:
            setting = trial.action.target, trial.action.frequency_hz
            found.setdefault(setting, []).append(trial.observed.get("frequency_hz"))
    return [
        Frequency(
            *setting, Range.of(seen), len(seen), sum(hz is not None and is_off(setting[1], float(hz)) for hz in seen)
        )
        for setting, seen in sorted(found.items())
    ]


def is_off(asked_hz: float, observed_hz: float) -> bool:
    """Whether it is another frequency than the one asked for."""
    return abs(observed_hz / asked_hz - 1) > OFF


def conditions(trials: Sequence[TrialRecord]) -> dict[str, list[Quantity]]:
    """Environment -> its quantities, those that were never asked for left out."""
    found: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        found.setdefault(trial.environment, []).append(trial)
    return {name: _quantities(found[name]) for name in sorted(found, key=environment_order)}


def _quantities(trials: Sequence[TrialRecord]) -> list[Quantity]:
    quantities = [
        Quantity(
            name,
            unit,
            Range.of(asked(trial) for trial in trials),
            Range.of(applied(trial) for trial in trials),
            Range.of(probed(trial) for trial in trials),
        )
        for name, unit, asked, applied, probed in _LOOKS
    ]
    return [quantity for quantity in quantities if quantity.asked]


def _in(part: str, *path: str, times: float = 1.0) -> Seen:
    def look(trial: TrialRecord) -> Any:
        value: Any = getattr(trial.condition, part)
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value * times if isinstance(value, (int, float)) else None

    return look


def _of_link(link: str, to: str, signal: str) -> list[tuple[str, str, Seen, Seen, Seen]]:
    def both(name: str, times: float = 1.0) -> tuple[Seen, Seen]:
        return _in("asked", link, name, times=times), _in("applied", link, name, times=times)

    return [
        (f"signal to the {to}", "dBm", *both("rssi_dbm"), _in("observed", signal)),
        (f"rate up to the {to}", "bit/s", *both("rate_up_bps"), _in("observed", link, "goodput_up_bps")),
        (f"round trip to the {to}", "s", *both("delay_s", 2.0), _in("observed", link, "rtt_s")),
        (f"loss to the {to}", "", *both("loss"), _in("observed", link, "loss")),
    ]


def _of_load(name: str, state: str) -> tuple[str, str, Seen, Seen, Seen]:
    return (
        f"co-runner, {name}",
        "",
        _in("asked", "co_runner", name),
        _in("applied", "co_runner", name),
        lambda trial: trial.state.get(state),
    )


_LOOKS = (
    *_of_link("link", "cloud", "rssi_dbm"),
    *_of_link("peer_link", "edge", "peer_rssi_dbm"),
    _of_load("cpu", "co_cpu"),
    _of_load("memory", "co_memory"),
)
"""name, unit, and where to look: asked, read back, probed. A path's delay is one way's, a probe's round trip both."""
