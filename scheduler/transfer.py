"""What one board has learnt, for another: actions are matched by what they mean, not by where they stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.contract import Action
from scheduler.table import Table

_ACCELERATORS = frozenset({"dla", "dsp", "npu", "tpu", "hailo"})
_WIDTHS = {"fp32": 32, "fp16": 16, "int8": 8}


def kind(target: str) -> str:
    """What a target is: a second accelerator core, or another maker's accelerator, is of the same kind."""
    name = target.rstrip("0123456789")
    return "accelerator" if name in _ACCELERATORS else name


def counterparts(known: Sequence[Action], actions: Sequence[Action]) -> list[Action | None]:
    """For each action its counterpart among the known ones, None where no known target is of its kind.

    Of the same kind, the one with the nearest precision, and of those the nearest relative frequency.
    """
    return [_counterpart(known, action, _relative(action, actions)) for action in actions]


def _counterpart(known: Sequence[Action], action: Action, relative: float) -> Action | None:
    def distance(other: Action) -> tuple[int, float]:
        return abs(_WIDTHS[other.precision] - _WIDTHS[action.precision]), abs(_relative(other, known) - relative)

    alike = [other for other in known if kind(other.target) == kind(action.target)]
    return min(alike, key=distance, default=None)


def _relative(action: Action, among: Sequence[Action]) -> float:
    if action.frequency_hz is None:
        return 1.0
    return action.frequency_hz / max(other.frequency_hz or 0.0 for other in among if other.target == action.target)


def transfer_table(table: Table, actions: Sequence[Action]) -> Table:
    """A trained table as the start of another board's; columns without a counterpart stay at zero.

    Values carry over as they are, so only their order within a row is worth something on a board of another speed.
    """
    codes = np.zeros((table.bins.rows, len(actions)), np.int16)
    column = {action: i for i, action in enumerate(table.actions)}
    for i, counterpart in enumerate(counterparts(table.actions, actions)):
        if counterpart is not None:
            codes[:, i] = table.codes[:, column[counterpart]]
    return Table(tuple(actions), table.bins, table.reward, codes)
