"""An arena as one HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from results.arena import figures
from results.arena.analysis import ALL_BOARDS, ArenaAnalysis, Behind, Row
from results.arena.curves import ArenaCurve, Preference, curves, decision_map
from results.arena.measures import NEAR, SLIPS, WINDOW
from results.arena.paper import FIGURES, OURS
from results.arena.records import ArenaRecords
from results.names import BASELINE, decision_order, environment_order, learns, policy_name, row_colour, target_colour
from results.page import drawn, render_page, write_text

_MAPPED = ("opt", "autoscale-repaired-trained", "bayesian")
"""policies whose decisions are mapped"""
_STEADY = ("edge-best", "opt")
"""policies that do not learn and yet stand in the curves"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing of a figure, with its heading."""

    title: str
    drawing: Markup


@dataclass(frozen=True, slots=True)
class BoardPart:
    """What the page says of one board, or of all together."""

    name: str
    caution: str
    rows: tuple[Row, ...]
    """settled, over all environments"""
    by_environment: Mapping[str, Mapping[str, Row]]
    """policy -> environment -> its row, settled"""


@dataclass(frozen=True, slots=True)
class DecisionMap:
    """What one policy settled on, everywhere on a board."""

    board: str
    policy: str
    lines: tuple[tuple[str, tuple[Preference | None, ...]], ...]


def write_page(records: ArenaRecords, analysis: ArenaAnalysis, behind: Sequence[Behind], path: Path) -> None:
    """Writes the page to `path`, whole or not at all."""
    write_text(path, render(records, analysis, behind))


def render(records: ArenaRecords, analysis: ArenaAnalysis, behind: Sequence[Behind]) -> str:
    """The page, of a finished arena or of the courses that are done."""
    found = curves(records)
    maps = _maps(records, analysis)
    return render_page(
        "arena.html.j2",
        header=records.header,
        caution=records.header.caution(analysis.boards),
        analysis=analysis,
        parts=_parts(records, analysis),
        behind=behind,
        paper=FIGURES,
        ours=[policy for policy in OURS if policy in analysis.policies],
        learning=_learning_panels(analysis, found),
        adapting=_adapting_panels(records, analysis, found),
        maps=maps,
        legends={
            "policies": [(policy_name(name), row_colour(name, "all")) for name in analysis.policies if _curved(name)],
            "targets": [(name, target_colour(name)) for name in _decisions(maps)],
        },
        target_colour=target_colour,
        BASELINE=BASELINE,
        NEAR=NEAR,
        WINDOW=WINDOW,
        SLIPS=SLIPS,
        experiment=json.dumps(records.header.experiment, indent=2, ensure_ascii=False),
        origin=json.dumps({"versions": records.header.versions, "host": records.header.host}, indent=2),
    )


def _parts(records: ArenaRecords, analysis: ArenaAnalysis) -> list[BoardPart]:
    names = [*analysis.boards, *([ALL_BOARDS] if len(analysis.boards) > 1 else [])]
    settled = [row for row in analysis.rows if row.phase == "settled"]
    parts = []
    for name in names:
        by_environment: dict[str, dict[str, Row]] = {}
        for row in settled:
            if row.board == name and row.environment is not None:
                by_environment.setdefault(row.policy, {})[row.environment] = row
        whole = tuple(row for row in settled if row.board == name and row.environment is None)
        caution = records.header.caution(analysis.boards if name == ALL_BOARDS else [name])
        parts.append(BoardPart(name, caution, whole, by_environment))
    return parts


def _curved(policy: str) -> bool:
    return learns(policy) or policy in _STEADY


def _learning_panels(analysis: ArenaAnalysis, found: Sequence[ArenaCurve]) -> list[Panel]:
    panels = []
    for number, board in enumerate(analysis.boards):
        own = [curve for curve in found if (curve.board, curve.place) == (board, None) and _curved(curve.policy)]
        panels.append(
            Panel(
                board,
                drawn(figures.learning(own), f"learning-{number}", f"Energy over Opt's on {board}, trial by trial"),
            )
        )
    return panels


def _adapting_panels(records: ArenaRecords, analysis: ArenaAnalysis, found: Sequence[ArenaCurve]) -> list[Panel]:
    cells = records.cells
    panels: list[Panel] = []
    for board, drift in dict.fromkeys((shift.board, shift.drift) for shift in analysis.shifts):
        own = [curve for curve in found if (curve.board, curve.place) == (board, drift) and _curved(curve.policy)]
        at = int(cells.shift[cells.environment == drift][0])
        says = f"Share of decisions within 5 % of Opt on {board}, trial by trial, about {drift}"
        panels.append(Panel(f"{drift} on {board}", drawn(figures.adapting(own, at), f"adapting-{len(panels)}", says)))
    return panels


def _maps(records: ArenaRecords, analysis: ArenaAnalysis) -> list[DecisionMap]:
    maps = []
    environments = sorted(analysis.environments, key=environment_order)
    for board in analysis.boards:
        for policy in (name for name in _MAPPED if name in analysis.policies):
            found = decision_map(records, board, policy)
            lines = tuple(
                (workload, tuple(found.get((workload, environment)) for environment in environments))
                for workload in analysis.workloads
            )
            maps.append(DecisionMap(board, policy, lines))
    return maps


def _decisions(maps: Sequence[DecisionMap]) -> list[str]:
    taken = {cell.decision for each in maps for _, cells in each.lines for cell in cells if cell}
    return sorted(taken, key=decision_order)
