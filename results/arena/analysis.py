"""What an arena says about its policies, with confidence intervals over its seeds.

A seed is one independent life of everything that is left to chance. In each, a figure is taken over all cells (a cell
is a workload in an environment on a board); what is shown is its mean over the seeds and a bootstrap interval of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from results.arena import measures
from results.arena.records import ArenaRecords, Cells, Numbers
from results.names import environment_order, policy_order
from results.statistics import CONFIDENCE, Estimate, resample_mean

MEDIANS = 400
"""resamples of a median, which takes longer than a mean"""
Phase = Literal["all", "settled"]
"""every trial of a cell, or the last half"""
ALL_BOARDS = "all boards"


@dataclass(frozen=True, slots=True)
class Row:
    """One policy on one board (or on all), in one environment (or in all but the drifts)."""

    board: str
    environment: str | None
    policy: str
    phase: Phase
    seeds: int
    cells: int
    trained: int
    """inferences lived through beforehand"""
    energy_j: float
    """mean per inference"""
    over: Mapping[str, Estimate]
    """other policy -> its energy over this policy's, the geometric mean over the cells"""
    qos_missed: Estimate
    """share of inferences"""
    qos_missed_feasible: Estimate | None
    """the same where some action meets QoS and accuracy"""
    accuracy_missed: Estimate
    exact: Estimate
    """share of decisions that are Opt's"""
    exact_exploiting: Estimate
    """the same of those not made to explore"""
    near_1: Estimate
    """share that meet what Opt's meet, at most 1 % dearer"""
    near_5: Estimate
    gap: Estimate
    """of true mean energy over Opt's: geometric mean over the cells, less 1"""
    gap_exploiting: Estimate
    """the same of decisions not made to explore"""
    regret_j: Estimate
    """of true mean energy over Opt's, summed over a cell's trials; mean over the cells"""
    settled_after: Estimate
    """trials until within 5 % of Opt: median over cells and seeds; infinite where most never get there"""
    never_settled: float
    """share of cells and seeds"""


@dataclass(frozen=True, slots=True)
class Shift:
    """One policy in one drift."""

    board: str
    drift: str
    policy: str
    adapted_after: Estimate
    """trials from the shift until within 5 % of Opt again: median over workloads and seeds"""
    never: float
    qos_missed_after: Estimate
    gap_after: Estimate


@dataclass(frozen=True, slots=True)
class Behind:
    """A cell in which one policy spends more than another, with the interval of the ratio above 1."""

    board: str
    workload: str
    environment: str
    ratio: Estimate
    """its true mean energy over the other's"""
    missed: float
    other_missed: float
    """shares of inferences that missed QoS"""


@dataclass(frozen=True, slots=True)
class ArenaAnalysis:
    """Rows by board, environment and policy."""

    rows: tuple[Row, ...]
    shifts: tuple[Shift, ...]
    boards: tuple[str, ...]
    environments: tuple[str, ...]
    workloads: tuple[str, ...]
    policies: tuple[str, ...]

    def row(self, board: str, policy: str, phase: Phase = "settled", environment: str | None = None) -> Row | None:
        """None where there is none."""
        wanted = board, policy, phase, environment
        return next((r for r in self.rows if (r.board, r.policy, r.phase, r.environment) == wanted), None)


def analyse(records: ArenaRecords) -> ArenaAnalysis:
    """The figures of every course that is done."""
    cells = records.cells
    steady = cells.take(cells.shift < 0)
    policies = tuple(sorted(set(cells.policy.tolist()), key=policy_order))
    boards = tuple(records.header.actions)
    environments = tuple(sorted(set(steady.environment.tolist()), key=environment_order))
    wholes = [(board, None) for board in ((*boards, ALL_BOARDS) if len(boards) > 1 else boards)]
    places = [*wholes, *((board, environment) for board in boards for environment in environments)]
    rows: list[Row] = []
    for board, environment in places:
        chosen = np.ones(len(steady), bool)
        chosen &= True if board == ALL_BOARDS else steady.board == board
        chosen &= True if environment is None else steady.environment == environment
        rows += _rows(steady.take(chosen), board, environment, policies)
    return ArenaAnalysis(
        rows=tuple(rows),
        shifts=tuple(_shifts(cells.take(cells.shift >= 0), policies)),
        boards=boards,
        environments=environments,
        workloads=tuple(dict.fromkeys(cells.workload.tolist())),
        policies=policies,
    )


def _rows(cells: Cells, board: str, environment: str | None, policies: Sequence[str]) -> list[Row]:
    rows = []
    half = slice(cells.energy_j.shape[1] // 2, None)
    by_policy = {policy: part for policy in policies if len(part := cells.take(cells.policy == policy))}
    settling = {policy: _Settling.of(part) for policy, part in by_policy.items()}
    phases: tuple[tuple[Phase, slice], ...] = (("all", slice(None)), ("settled", half))
    for phase, trials in phases:
        own = {policy: part.take(slice(None), trials) for policy, part in by_policy.items()}
        energies = {policy: _energy_by_place(part) for policy, part in own.items()}
        for policy, part in own.items():
            rows.append(_row(part, settling[policy], energies, (board, environment, policy, phase)))
    return rows


@dataclass(frozen=True, slots=True)
class _Settling:
    after: Estimate
    never: float

    @staticmethod
    def of(cells: Cells) -> _Settling:
        """Over all trials of the cells."""
        trials = measures.trials_to_settle(cells)
        return _Settling(_Seeds(cells.seed).median(trials), float(np.isinf(trials).mean()))


_Place = tuple[str, str, str, int]


def _energy_by_place(cells: Cells) -> dict[_Place, float]:
    """(board, workload, environment, seed) -> mean energy of an inference."""
    places = zip(cells.board, cells.workload, cells.environment, cells.seed.tolist(), strict=True)
    return dict(zip(places, cells.energy_j.mean(axis=1).tolist(), strict=True))


def _row(
    cells: Cells,
    settling: _Settling,
    energies: Mapping[str, Mapping[_Place, float]],
    key: tuple[str, str | None, str, Phase],
) -> Row:
    board, environment, policy, phase = key
    seeds = _Seeds(cells.seed)
    feasible = measures.share(cells.missed, cells.feasible)
    return Row(
        board=board,
        environment=environment,
        policy=policy,
        phase=phase,
        seeds=len(seeds.every),
        cells=len(cells) // len(seeds.every),
        trained=int(cells.trained.max()),
        energy_j=float(cells.energy_j.mean()),
        over={
            other: estimate
            for other, theirs in energies.items()
            if other != policy and (estimate := _ratio(energies[policy], theirs)) is not None
        },
        qos_missed=seeds.mean(measures.share(cells.missed)),
        qos_missed_feasible=None if np.isnan(feasible).all() else seeds.mean(feasible),
        accuracy_missed=seeds.mean(measures.share(~cells.accurate)),
        exact=seeds.mean(measures.share(measures.exact(cells))),
        exact_exploiting=seeds.mean(measures.share(measures.exact(cells), ~cells.explored)),
        near_1=seeds.mean(measures.share(measures.near_opt(cells, 0.01))),
        near_5=seeds.mean(measures.share(measures.near_opt(cells, measures.NEAR))),
        gap=seeds.mean(np.log1p(measures.energy_gap(cells)), np.expm1),
        gap_exploiting=seeds.mean(np.log1p(measures.energy_gap(cells, ~cells.explored)), np.expm1),
        regret_j=seeds.mean(measures.regret_j(cells)),
        settled_after=settling.after,
        never_settled=settling.never,
    )


def _ratio(own: Mapping[_Place, float], theirs: Mapping[_Place, float]) -> Estimate | None:
    """Their energy over the own, the geometric mean over the places both were in."""
    common = [place for place in own if place in theirs]
    if not common:
        return None
    logs = np.log([theirs[place] for place in common]) - np.log([own[place] for place in common])
    return _Seeds(np.array([place[-1] for place in common])).mean(logs, np.exp)


def _shifts(cells: Cells, policies: Sequence[str]) -> list[Shift]:
    shifts = []
    for board, drift in dict.fromkeys(zip(cells.board.tolist(), cells.environment.tolist(), strict=True)):
        here = cells.take((cells.board == board) & (cells.environment == drift))
        for policy in policies:
            own = here.take(here.policy == policy)
            if not len(own):
                continue
            after = own.take(slice(None), slice(int(own.shift[0]), None))
            seeds, adapted = _Seeds(own.seed), _Settling.of(after)
            shifts.append(
                Shift(
                    board=board,
                    drift=drift,
                    policy=policy,
                    adapted_after=adapted.after,
                    never=adapted.never,
                    qos_missed_after=seeds.mean(measures.share(after.missed)),
                    gap_after=seeds.mean(np.log1p(measures.energy_gap(after)), np.expm1),
                )
            )
    return shifts


def behind(records: ArenaRecords, policy: str, other: str) -> list[Behind]:
    """The cells in which `policy`, once settled, spends more than `other`, beyond what seeds make uncertain."""
    cells = records.cells
    trials = slice(cells.energy_j.shape[1] // 2, None)
    found = []
    places = zip(cells.board.tolist(), cells.workload.tolist(), cells.environment.tolist(), strict=True)
    own, theirs = cells.take(cells.policy == policy, trials), cells.take(cells.policy == other, trials)
    for board, workload, environment in dict.fromkeys(places):
        pair = []
        for side in (own, theirs):
            here = (side.board == board) & (side.workload == workload) & (side.environment == environment)
            part = side.take(here)
            pair.append(part.take(part.seed.argsort()))
        mine, yours = pair
        common = np.intersect1d(mine.seed, yours.seed)
        if not common.size:
            continue
        mine, yours = mine.take(np.isin(mine.seed, common)), yours.take(np.isin(yours.seed, common))
        ratio = np.log(mine.chosen_energy_j.mean(axis=1) / yours.chosen_energy_j.mean(axis=1))
        estimate = _Seeds(mine.seed).mean(ratio, np.exp)
        if (estimate.low or estimate.value) > 1.0:
            missed = float(mine.missed.mean()), float(yours.missed.mean())
            found.append(Behind(board, workload, environment, estimate, *missed))
    return sorted(found, key=lambda each: -each.ratio.value)


class _Seeds:
    """Takes figures of cells together: over the cells of each seed, then over the seeds."""

    def __init__(self, seeds: NDArray[np.int64]) -> None:
        self.every, self._which = np.unique(seeds, return_inverse=True)
        self._counts = np.bincount(self._which)

    def mean(self, values: Numbers, back: Callable[[float], float] = float) -> Estimate:
        """Mean over seeds of the mean over cells, NaN apart; `back` undoes a scale on which it is taken."""
        known = ~np.isnan(values)
        counts = np.bincount(self._which, known)
        sums = np.bincount(self._which, np.where(known, values, 0.0))
        means = sums[counts > 0] / counts[counts > 0]
        found = resample_mean(means.tolist(), 0, "seeds").estimate()
        ends = (None if end is None else float(back(end)) for end in (found.low, found.high))
        return Estimate(float(back(found.value)), *ends)

    def median(self, values: Numbers) -> Estimate:
        """Median over everything, with the interval that resampling whole seeds gives."""
        value = float(np.quantile(values, 0.5, method="higher"))
        if len(self.every) < 2 or (self._counts != self._counts[0]).any():
            return Estimate(value, None, None)
        by_seed = values[self._which.argsort(kind="stable")].reshape(len(self.every), -1)
        picks = np.random.default_rng(0).integers(len(self.every), size=(MEDIANS, len(self.every)))
        drawn = by_seed[picks].reshape(MEDIANS, -1)
        middle = drawn.shape[1] // 2
        medians = np.partition(drawn, middle, axis=1)[:, middle]
        tail = (1.0 - CONFIDENCE) / 2.0
        low, high = np.quantile(medians, [tail, 1.0 - tail], method="nearest")
        return Estimate(value, float(low), float(high))
