"""What decisions were worth, cell by cell; shapes are (cells,) unless said otherwise."""

from __future__ import annotations

import numpy as np

from results.arena.records import Cells, Flags, Numbers

WINDOW = 10
"""decisions that are looked at to say that a policy has settled"""
SLIPS = 1
"""of them that may fall outside"""
NEAR = 0.05
SAME = 1e-9
"""relative difference of true means below which two actions are one: two cores of a kind"""


def near_opt(cells: Cells, within: float) -> Flags:
    """Decisions as good as Opt's: what Opt meets is met, at an energy at most `within` above. Shape (cells, trials)."""
    good: Flags = cells.met | ~cells.feasible
    return good & (cells.chosen_energy_j <= (1.0 + within) * cells.opt_energy_j)


def exact(cells: Cells) -> Flags:
    """Decisions that are Opt's, or one with the same truth. Shape (cells, trials)."""
    same = np.abs(cells.chosen_energy_j - cells.opt_energy_j) <= SAME * cells.opt_energy_j
    found: Flags = (cells.chosen == cells.opt) | (same & (cells.met | ~cells.feasible))
    return found


def energy_gap(cells: Cells, among: Flags | None = None) -> Numbers:
    """True mean energy chosen over Opt's, less 1; below zero where a constraint that Opt kept was missed to save.

    Of the decisions among, shape (cells, trials); NaN where there are none.
    """
    counted = np.ones_like(cells.met) if among is None else among
    chosen = np.where(counted, cells.chosen_energy_j, 0.0).sum(axis=1)
    opt = np.where(counted, cells.opt_energy_j, 0.0).sum(axis=1)
    return np.where(counted.any(axis=1), chosen / np.where(opt > 0.0, opt, 1.0) - 1.0, np.nan)


def regret_j(cells: Cells) -> Numbers:
    """True mean energy spent beyond Opt's, all trials together, exploration included."""
    regret: Numbers = (cells.chosen_energy_j - cells.opt_energy_j).sum(axis=1)
    return regret


def trials_to_settle(cells: Cells, within: float = NEAR) -> Numbers:
    """Trials lived through before the first from which at most 1 of 10 decisions is not near Opt; inf for never."""
    near = near_opt(cells, within)
    n = near.shape[1] - WINDOW + 1
    if n < 1:
        return np.full(len(near), np.inf)
    slips = np.pad((~near).cumsum(axis=1), ((0, 0), (1, 0)))
    settled = near[:, :n] & (slips[:, WINDOW:] - slips[:, :n] <= SLIPS)
    return np.where(settled.any(axis=1), settled.argmax(axis=1), np.inf)


def share(flags: Flags, among: Flags | None = None) -> Numbers:
    """How many of the trials hold, of those among; NaN where there are none."""
    if among is None:
        among = np.ones_like(flags)
    count = among.sum(axis=1)
    return np.where(count > 0, (flags & among).sum(axis=1) / np.maximum(count, 1), np.nan)
