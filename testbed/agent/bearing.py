"""A load between two idle times, as a calibration has a board bear it."""

from __future__ import annotations

from typing import Any

from testbed.agent.contract import Board, Burden, CoRun
from testbed.agent.truth import true_j


def bear(
    board: Board, cores: int, utilisation: float, memory: float, idle_s: float, duration_s: float
) -> dict[str, Any]:
    """Idle, bear a load, idle again. Without cores the load is that of memory, or none.

    Returns when each of the three was ("before", "busy", "after": two moments of the board's clock and, of a virtual
    board, the true energy between them), and the load as it really was.
    """
    seen = board.observe()
    before_ns = board.clock.now_ns()
    if cores:
        burden = board.carry(cores, utilisation, idle_s, duration_s)
        before_ns, confirmed = burden.start_ns - round(idle_s * 1e9), 0.0
    else:
        burden, confirmed = _memory(board, memory, idle_s, duration_s)
    after = board.observe()
    ended_ns = _wait(board, burden.end_ns, idle_s)
    windows_ns = {
        "before": (before_ns, burden.start_ns),
        "busy": (burden.start_ns, burden.end_ns),
        "after": (burden.end_ns, ended_ns),
    }
    return {
        "windows": {name: {"ns": list(ns), "truth_j": true_j(board, [ns])} for name, ns in windows_ns.items()},
        "utilisation": burden.utilisation,
        "memory": confirmed,
        "temperature_c": [seen.temperature_c, after.temperature_c],
        "throttled": after.throttled,
    }


def _memory(board: Board, memory: float, idle_s: float, duration_s: float) -> tuple[Burden, float]:
    """A load of memory alone, or none, after an idle time; and what was found of it, or asked where nothing tells."""
    _wait(board, board.clock.now_ns(), idle_s)
    confirmed = board.co_run(CoRun(0.0, memory)).memory if memory else 0.0
    confirmed = memory if confirmed is None else confirmed
    try:
        start_ns = board.clock.now_ns()
        end_ns = _wait(board, start_ns, duration_s)
    finally:
        if memory:
            board.co_run(None)
    return Burden(start_ns, end_ns, 0.0), confirmed


def _wait(board: Board, from_ns: int, duration_s: float) -> int:
    until_ns = from_ns + round(duration_s * 1e9)
    board.clock.sleep_until(until_ns)
    return until_ns
