"""What Kim and Wu report of AutoScale (MICRO 2020, arXiv 2005.02544), each figure with how sure we are of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from results.arena.analysis import Row
from results.names import BASELINE
from results.statistics import Estimate

Mark = Literal["confirmed", "recalled", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """One figure of the paper, and where to find ours."""

    name: str
    paper: str
    mark: Mark
    unit: Literal["times", "percent", "trials"]
    ours: Callable[[Row], Estimate | None]


def _over(other: str) -> Callable[[Row], Estimate | None]:
    return lambda row: row.over.get(other)


FIGURES = (
    PaperFigure("energy efficiency over Edge (CPU FP32)", "9.8\u00d7", "confirmed", "times", _over(BASELINE)),
    PaperFigure("energy efficiency over Edge (Best)", "2.3\u00d7", "unconfirmed", "times", _over("edge-best")),
    PaperFigure("energy efficiency over Cloud", "1.6\u00d7", "confirmed", "times", _over("cloud")),
    PaperFigure("energy efficiency over Connected Edge", "2.7\u00d7", "unconfirmed", "times", _over("connected-edge")),
    PaperFigure("picks Opt's target", "97.9 %", "unconfirmed", "percent", lambda row: row.exact_exploiting),
    PaperFigure("energy gap to Opt", "3.2 %", "unconfirmed", "percent", lambda row: row.gap_exploiting),
    PaperFigure("QoS missed", "\u201cmet\u201d", "confirmed", "percent", lambda row: row.qos_missed),
    PaperFigure("trials to converge", "40\u201350", "recalled", "trials", lambda row: row.settled_after),
)
"""The paper's boards are three phones, its actions 66; ours are two virtual boards with other processors.

Its decision accuracy exceeds what a policy that explores one decision in ten can reach, so it is set beside decisions
that were not made to explore."""

OURS = (
    "autoscale-trained",
    "autoscale-repaired-trained",
    "bayesian",
    "bayesian-transferred",
    "opt",
)
"""policies that stand beside the paper's; Opt is the most that could be reached"""
