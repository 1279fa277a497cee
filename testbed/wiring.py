"""Whether the bench could exist: a meter that can bear and reach the board it is wired to."""

from __future__ import annotations

from testbed.config import Bench
from testbed.errors import BenchError


def wiring_problems(bench: Bench) -> list[str]:
    """Why this wiring could not work or would do harm; empty when nothing speaks against it."""
    problems = []
    draw = bench.board.draw
    if draw is not None:
        low_v, high_v = draw.voltage_v
        if not low_v <= bench.board.supply_voltage_v <= high_v:
            problems.append(
                f"board.supply_voltage_v: {bench.board.supply_voltage_v:g} V is outside the board's input range, "
                f"{low_v:g}-{high_v:g} V ({draw.source})"
            )
    if bench.monitor is not None:
        problems.extend(bench.monitor.wiring_problems(bench.board))
    return problems


def refuse_impossible_wiring(bench: Bench) -> None:
    """Raises BenchError naming every problem."""
    if problems := wiring_problems(bench):
        raise BenchError(f"bench '{bench.name}' cannot be wired so:\n" + "\n".join(f"  {line}" for line in problems))
