"""How decisions get better, trial by trial, and which are taken where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from results.arena import measures
from results.arena.records import ArenaRecords, Cells
from results.learning import moving_mean


@dataclass(frozen=True, slots=True)
class ArenaCurve:
    """One policy on one board, over trials."""

    board: str
    place: str | None
    """a drift; None for all environments together"""
    policy: str
    over_opt: tuple[float, ...]
    """true mean energy over Opt's: geometric mean over cells and seeds"""
    near: tuple[float, ...]
    """share of decisions within 5 % of Opt, moving mean"""


@dataclass(frozen=True, slots=True)
class Preference:
    """What a policy took most often in a cell, once settled."""

    decision: str
    """target/precision"""
    share: float
    near: float
    """share of all its decisions there within 5 % of Opt"""


def curves(records: ArenaRecords) -> list[ArenaCurve]:
    """Every board and policy: all environments together, then each drift."""
    found = []
    cells = records.cells
    for board in records.header.actions:
        here = cells.take(cells.board == board)
        steady = here.take(here.shift < 0)
        found += [_curve(board, None, policy, part) for policy, part in _by_policy(steady)]
        for drift in dict.fromkeys(here.environment[here.shift >= 0].tolist()):
            drifting = here.take(here.environment == drift)
            found += [_curve(board, drift, policy, part) for policy, part in _by_policy(drifting)]
    return found


def _by_policy(cells: Cells) -> list[tuple[str, Cells]]:
    return [(policy, cells.take(cells.policy == policy)) for policy in dict.fromkeys(cells.policy.tolist())]


def _curve(board: str, place: str | None, policy: str, cells: Cells) -> ArenaCurve:
    over = np.exp(np.log(cells.chosen_energy_j / cells.opt_energy_j).mean(axis=0))
    near = measures.near_opt(cells, measures.NEAR).mean(axis=0)
    return ArenaCurve(board, place, policy, tuple(over.tolist()), moving_mean(near.tolist(), 5))


def decision_map(records: ArenaRecords, board: str, policy: str) -> Mapping[tuple[str, str], Preference]:
    """(workload, environment) -> what the policy settled on."""
    cells = records.cells
    own = cells.take(
        (cells.board == board) & (cells.policy == policy) & (cells.shift < 0),
        slice(cells.energy_j.shape[1] // 2, None),
    )
    names = [action.partition("@")[0] for action in records.header.actions[board]]
    near = measures.near_opt(own, measures.NEAR)
    found = {}
    for place in dict.fromkeys(zip(own.workload.tolist(), own.environment.tolist(), strict=True)):
        here = (own.workload == place[0]) & (own.environment == place[1])
        taken = Counter(names[i] for i in own.chosen[here].ravel().tolist())
        (decision, count), *_ = taken.most_common(1)
        found[place] = Preference(decision, count / sum(taken.values()), float(near[here].mean()))
    return found
