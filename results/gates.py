"""Conditions on a run, or on what changed between runs, for continuous integration: "energy_j>+5%".

A condition fails where the whole confidence interval lies beyond its bound, never by a point estimate. Everything that
a call judges is judged together: with k intervals each is widened to 1 - 5 %/k (Bonferroni), so that a call on which
nothing has changed fails by chance one time in twenty at most, however many policies there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from results.cells import Cell, cells_of
from results.comparison import OF_CELL, Comparison, Metric
from results.durable import StoreError
from results.formats import percent, quantity, seconds, signed_percent
from results.names import policy_name
from results.run import Run
from results.statistics import CONFIDENCE, FEWEST_BLOCKS, Estimate

METRICS: tuple[Metric, ...] = ("energy_j", "latency_s", "qos_violations")
_UNITS = {"energy_j": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6}, "latency_s": {"s": 1.0, "ms": 1e-3, "us": 1e-6}}
_FORM = re.compile(
    r"\s*(?P<metric>\w+)\s*(?P<side>[<>])\s*(?P<sign>[+-]?)\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>%|[a-zA-Z]*)\s*"
)

Verdict = Literal["fails", "holds", "undecided", "not judged"]


class GateError(ValueError):
    """A condition that cannot be read; the message says how to write it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """When a run is not good enough."""

    text: str
    metric: Metric
    above: bool
    """it fails above the bound, else below it"""
    bound: float
    """of a change: a fraction; of QoS violations: a fraction of inferences; else in SI units"""
    of_change: bool
    """of what changed between two runs, else of one run"""

    @classmethod
    def read(cls, text: str) -> Gate:
        """From "energy_j>+5%" (a change: it has a sign) or "latency_s>33 ms" (a level). Raises GateError."""
        form = _FORM.fullmatch(text)
        if form is None:
            raise GateError(f"'{text}' is no condition: write it like energy_j>+5%, or latency_s>33ms")
        if form["metric"] not in METRICS:
            raise GateError(f"'{text}': there is no '{form['metric']}'; there are {', '.join(METRICS)}")
        metric = cast(Metric, form["metric"])
        value, unit, signed = float(form["number"]), form["unit"], bool(form["sign"])
        if signed or metric == "qos_violations":
            if unit != "%":
                raise GateError(f"'{text}': write the bound with %, like {metric}>{form['sign']}5%")
            bound = value / 100
        elif unit and unit not in _UNITS[metric]:
            wrong = f"'{text}': the bound has the unit '{unit}'; write {', '.join(_UNITS[metric])}"
            raise GateError(f"{wrong}, or +5% for a change between two runs")
        else:
            bound = value * _UNITS[metric].get(unit, 1.0)
        return cls(text.strip(), metric, form["side"] == ">", -bound if form["sign"] == "-" else bound, signed)

    def verdict(self, estimate: Estimate) -> Verdict:
        """By the whole interval."""
        if estimate.low is None or estimate.high is None:
            return "not judged"
        if estimate.low > self.bound if self.above else estimate.high < self.bound:
            return "fails"
        return "holds" if (estimate.high <= self.bound if self.above else estimate.low >= self.bound) else "undecided"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one condition says of one policy."""

    gate: Gate
    where: str
    """policy, and of a level its workload and environment"""
    estimate: Estimate
    """widened to what is judged together; of a ratio, what it adds or takes"""
    verdict: Verdict

    def __str__(self) -> str:
        found = _words(self.gate, self.estimate.value)
        if self.estimate.low is not None and self.estimate.high is not None:
            ends = (_words(self.gate, end) for end in (self.estimate.low, self.estimate.high))
            found += f" ({' to '.join(ends)})"
        why = {
            "fails": "fails: the whole interval lies beyond",
            "holds": "holds: the whole interval lies within",
            "undecided": "holds, undecided: the interval reaches across the bound; more blocks would tell",
            "not judged": f"not judged: its trials are of fewer than {FEWEST_BLOCKS} blocks",
        }[self.verdict]
        return f"{self.gate.text}  {self.where}: {found}  {why}"


def judge_changes(gates: Sequence[Gate], comparison: Comparison, policies: Sequence[str]) -> list[Judgement]:
    """Each condition for each policy, over every place where the runs were paired. Raises StoreError."""
    wanted = policies or comparison.policies

    def found(gate: Gate, confidence: float) -> list[tuple[str, Estimate]]:
        estimates = [(name, comparison.whole(gate.metric, name, confidence)) for name in wanted]
        return [(policy_name(name), _as_change(gate, estimate)) for name, estimate in estimates if estimate]

    return _judged(gates, found)


def judge_levels(gates: Sequence[Gate], run: Run, policies: Sequence[str]) -> list[Judgement]:
    """Each condition for each policy in each workload and environment. Raises StoreError."""
    cells = [cell for cell in cells_of(run) if cell.phase == "all" and (not policies or cell.policy in policies)]

    def found(gate: Gate, confidence: float) -> list[tuple[str, Estimate]]:
        resampled = [(cell, OF_CELL[gate.metric](cell, run.header.seed)) for cell in cells]
        return [(_place(cell), each.estimate(confidence)) for cell, each in resampled if each]

    return _judged(gates, found)


def _judged(gates: Sequence[Gate], found: Callable[[Gate, float], list[tuple[str, Estimate]]]) -> list[Judgement]:
    together = sum(estimate.low is not None for gate in gates for _, estimate in found(gate, CONFIDENCE))
    confidence = 1 - (1 - CONFIDENCE) / max(1, together)
    judgements = []
    for gate in gates:
        own = [Judgement(gate, where, each, gate.verdict(each)) for where, each in found(gate, confidence)]
        if all(judgement.verdict == "not judged" for judgement in own):
            what = f"has trials of {FEWEST_BLOCKS} blocks or more" if own else "was measured"
            raise StoreError(f"'{gate.text}' cannot be judged: nothing {what}. Give the suite more 'repetitions'.")
        judgements.extend(own)
    return judgements


def _as_change(gate: Gate, estimate: Estimate) -> Estimate:
    """A ratio as what it adds or takes; a difference as it is."""
    if gate.metric == "qos_violations":
        return estimate
    ends = (None if end is None else end - 1 for end in (estimate.low, estimate.high))
    return Estimate(estimate.value - 1, *ends)


def _place(cell: Cell) -> str:
    return f"{policy_name(cell.policy)} in {cell.workload}, {cell.environment}"


def _words(gate: Gate, value: float) -> str:
    if gate.of_change:
        return (
            signed_percent(value).replace("%", "points") if gate.metric == "qos_violations" else signed_percent(value)
        )
    if gate.metric == "qos_violations":
        return percent(value)
    return seconds(value) if gate.metric == "latency_s" else quantity(value, "J")
