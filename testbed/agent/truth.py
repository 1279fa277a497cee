"""What only a virtual board can tell of a stretch of time."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.agent.contract import Board, Simulated


def true_j(board: Board, windows_ns: Sequence[tuple[int, int]]) -> float | None:
    """What a board really drew in windows of its clock; None of a real one."""
    if not isinstance(board, Simulated):
        return None
    return sum(board.true_energy_j(start_ns, end_ns) for start_ns, end_ns in windows_ns)
