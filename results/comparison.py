"""Runs against each other, paired by workload, environment and policy: what changed, and how sure that is.

A pair is a run before and a run after a change. Of one pair what is resampled are blocks; blocks of the same plan,
which were made under the same conditions in the same order, are held against each other one by one. Of several pairs,
such as one a seed, the pairs are resampled: what differs between whole runs then counts too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

import numpy as np

from results.cells import Cell, Key, Phase, cells_of
from results.names import policy_order
from results.run import Run
from results.statistics import CONFIDENCE, Blocks, Estimate, Resampled, geometric_mean, mean

Pair = tuple[Run, Run]
"""before, after"""

Metric = Literal["energy_j", "latency_s", "qos_violations"]

OF_CELL: Mapping[Metric, Callable[[Cell, int], Resampled | None]] = {
    "energy_j": lambda cell, seed: cell.energy_j(seed),
    "latency_s": lambda cell, seed: cell.latency_s(seed),
    "qos_violations": lambda cell, seed: cell.qos_violations(seed),
}


@dataclass(frozen=True, slots=True)
class Change:
    """Of one policy in one workload and environment. Ratios are after over before; None where one was not measured."""

    workload: str
    environment: str
    policy: str
    phase: Phase
    energy: Estimate | None
    """of mean energies"""
    latency: Estimate | None
    """of median latencies"""
    qos_missed: Estimate | None
    """after less before, of fractions"""


@dataclass(frozen=True, slots=True)
class OverallChange:
    """Of one policy over every place where it was in both: geometric means of ratios, the mean of differences."""

    policy: str
    phase: Phase
    places: int
    energy: Estimate | None
    latency: Estimate | None
    qos_missed: Estimate | None


@dataclass(frozen=True)
class Comparison:
    """Of one pair of runs or several."""

    pairs: tuple[Pair, ...]
    paired: bool
    """whether blocks, or whole runs, were held against each other one by one"""
    changes: tuple[Change, ...]
    overall: tuple[OverallChange, ...]
    alone: tuple[Key, ...]
    """workload, environment and policy that only some of the runs have: compared with nothing"""
    _parts: Mapping[Metric, Mapping[Key, Resampled]]

    def whole(self, metric: Metric, policy: str, confidence: float = CONFIDENCE) -> Estimate | None:
        """Of one policy, all its trials, over every place; a ratio, or of QoS violations a difference."""
        parts = [part for key, part in self._parts[metric].items() if (key[2], key[3]) == (policy, "all")]
        return _whole(metric, parts, confidence)

    @property
    def policies(self) -> list[str]:
        """Those that were in all runs."""
        return list(dict.fromkeys(each.policy for each in self.overall))

    @property
    def caution(self) -> str | None:
        """The label that goes with every figure; None when everything was measured."""
        cautions = [run.header.caution for pair in self.pairs for run in pair]
        return next((caution for caution in cautions if caution), None)


def compare(pairs: Sequence[Pair]) -> Comparison:
    """Of at least one pair."""
    cells = [tuple({cell.key: cell for cell in cells_of(run)} for run in pair) for pair in pairs]
    sides = [side for pair in cells for side in pair]
    shared = [key for key in sides[0] if all(key in side for side in sides)]
    alone = [key for side in sides for key in side if key not in shared and key[3] == "all"]
    parts: dict[Metric, dict[Key, Resampled]] = {}
    for metric, of in OF_CELL.items():
        parts[metric] = {}
        for key in shared:
            found = [
                _held(metric, *(of(side[key], pair[0].header.seed) for side in own))
                for own, pair in zip(cells, pairs, strict=True)
            ]
            known = [part for part in found if part]
            if len(known) == len(pairs):
                parts[metric][key] = known[0] if len(known) == 1 else _over_pairs(metric, known)
    kinds = sorted(
        {(policy, phase) for _, _, policy, phase in shared}, key=lambda kind: (policy_order(kind[0]), kind[1])
    )
    return Comparison(
        pairs=tuple(pairs),
        paired=len(pairs) > 1 or pairs[0][0].plan == pairs[0][1].plan,
        changes=tuple(_change(key, parts) for key in shared),
        overall=tuple(_overall(policy, phase, shared, parts) for policy, phase in kinds),
        alone=tuple(dict.fromkeys(alone)),
        _parts=parts,
    )


def _held(metric: Metric, before: Resampled | None, after: Resampled | None) -> Resampled | None:
    if before is None or after is None:
        return None
    return after.less(before) if metric == "qos_violations" else after.over(before)


def _over_pairs(metric: Metric, parts: Sequence[Resampled]) -> Resampled:
    values = [part.value if metric == "qos_violations" else log(part.value) for part in parts]
    drawn = Blocks.drawn(range(len(values)), 0, "pairs").mean(values)
    if metric == "qos_violations":
        return Resampled(drawn.value, drawn.draws, drawn.freedom, drawn.picks, ratio_scale=False)
    return Resampled(exp(drawn.value), np.exp(drawn.draws), drawn.freedom, drawn.picks)


def _whole(metric: Metric, parts: Sequence[Resampled], confidence: float = CONFIDENCE) -> Estimate | None:
    if not parts:
        return None
    joined = mean(parts) if metric == "qos_violations" else geometric_mean(parts)
    return joined.estimate(confidence)


def _change(key: Key, parts: Mapping[Metric, Mapping[Key, Resampled]]) -> Change:
    estimates = {metric: part.estimate() if (part := found.get(key)) else None for metric, found in parts.items()}
    return Change(*key, estimates["energy_j"], estimates["latency_s"], estimates["qos_violations"])


def _overall(
    policy: str, phase: Phase, shared: Sequence[Key], parts: Mapping[Metric, Mapping[Key, Resampled]]
) -> OverallChange:
    own = [key for key in shared if (key[2], key[3]) == (policy, phase)]
    found = {metric: _whole(metric, [of[key] for key in own if key in of]) for metric, of in parts.items()}
    return OverallChange(policy, phase, len(own), found["energy_j"], found["latency_s"], found["qos_violations"])
