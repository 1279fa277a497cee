"""A rail-to-meter card: board and meter watched together under loads from idle to all cores, in shuffled order."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from power import CardRefused, PowerMonitor, RailCard, fit_card
from testbed.config import Bench
from testbed.errors import BenchError
from testbed.marks import HostClocks
from testbed.meter import WINDOW_MARGIN, Meter
from testbed.monitors.on_board import OnBoardMonitor
from testbed.opening import OpenBench, open_bench
from testbed.rail_cards import CardRecord, record_of

LEVELS = 6
"""loads from idle to all cores at the highest clock"""
ROUNDS = 4
SETTLING_S = 0.1
"""of a load and of the rails' delay, left out of each window"""
_AFTER_S = 0.5
"""of both traces beyond the last load"""


def make_card(
    bench: Bench, rails_bench: Bench, seed: int, on_step: Callable[[str], None], rounds: int = ROUNDS
) -> CardRecord:
    """The card of the sensors of `rails_bench`, against the meter of `bench`; both describe the same board.

    Raises BenchError and TransientError.
    """
    settings = rails_bench.monitor
    if not isinstance(settings, OnBoardMonitor):
        raise BenchError(f"bench '{rails_bench.name}' has no monitor on its board: a card is made for one (rails, ...)")
    if bench.monitor is None or isinstance(bench.monitor, OnBoardMonitor):
        raise BenchError(f"bench '{bench.name}' has no meter in the board's supply: a card is made against one")
    on_step(f"opening {bench.name}")
    with open_bench(bench, seed) as opened:
        bare = settings.bare(rails_bench.board)
        card, warmth_c = _compare(opened, bare, seed, on_step, rounds)
        assert opened.monitor is not None
        return record_of(
            card,
            board_model=opened.identity["model"],
            board_serial=opened.identity["serial"],
            provenance=bench.provenance,
            rails=settings.facts(),
            meter=opened.monitor.spec.name,
            supply_voltage_v=bench.board.supply_voltage_v,
            temperature_c=warmth_c,
        )


def _compare(
    opened: OpenBench, rails: PowerMonitor, seed: int, on_step: Callable[[str], None], rounds: int
) -> tuple[RailCard, float | None]:
    """The card of a board's sensors, and the temperature in the median. Raises BenchError, TransientError."""
    assert opened.monitor is not None
    with ExitStack() as stack:
        watching: list[Meter] = []
        for monitor in (opened.monitor, rails):
            on_step(f"watching {monitor.spec.name}")
            watching.append(stack.enter_context(Meter(monitor)))
            watching[-1].settle(opened.now_ns())
        meter, own = watching
        host = HostClocks(opened.board_clock, meter)
        shortest_s = max(meter.spec.shortest_window_s, own.spec.shortest_window_s)
        window_s = WINDOW_MARGIN * shortest_s + 2 * SETTLING_S
        cores = int(opened.identity["cores"])
        loads_ns: list[tuple[int, int]] = []
        warmths_c: list[float] = []
        began_ns = opened.now_ns()
        for level in np.random.default_rng(seed).permutation(np.repeat(np.arange(LEVELS), rounds)).tolist():
            on_step(f"load {len(loads_ns) + 1} of {LEVELS * rounds}")
            opened.board_clock.update()
            answer = opened.agent.ask(
                "burden",
                cores=cores if level else 0,
                utilisation=level / (LEVELS - 1),
                frequency_hz=None,
                memory=0.0,
                idle_s=SETTLING_S,
                duration_s=window_s,
            )
            start_ns, end_ns = answer["windows"]["busy"]["ns"]
            place = host.place({"start_ns": start_ns, "end_ns": end_ns})
            trim_ns = round(SETTLING_S * 1e9)
            loads_ns.append((place.start_ns + trim_ns, place.end_ns - trim_ns))
            warmths_c += [found for found in answer["temperature_c"] if found is not None]
        ended_ns = opened.now_ns() + round(_AFTER_S * 1e9)
        traces = [watched.trace(began_ns, ended_ns) for watched in (own, meter)]
        try:
            card = fit_card(traces[0], own.spec, traces[1], meter.spec, loads_ns)
        except CardRefused as refusal:
            raise BenchError(f"{own.spec.name}: {refusal}") from None
        return card, statistics.median(warmths_c) if warmths_c else None
