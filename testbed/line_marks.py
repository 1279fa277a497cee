"""Marks by a wire from the board to the meter: its edges stand in the trace itself."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from power import ClockFit, Edges, MonitorSpec, find_edges
from results.records import MarksMethod
from testbed.marks import Anchors, HostClocks, Marks, Trace

_log = logging.getLogger(__name__)

KEEP = 16
"""edges the line goes through: eight trials"""
REACH_S = 5e-3
REACH_U = 4.0
"""an edge is looked for within so much and so many standard uncertainties of where the host's clocks have it"""
BEARABLE_MISSES = 0.25
"""of a block's trials: those between go by the edges of others"""
AGREE_PERIODS = 2.5
"""the two edges of a trial are off by the same, but for the period each may lie anywhere in"""


class MarkerLine:
    """Implements `Alignment`; where the wire shows no edges the host's clocks stand in."""

    method: MarksMethod = "line"

    def __init__(self, host: HostClocks, meter: Trace, spec: MonitorSpec, bearable_s: float) -> None:
        """`bearable_s` is how far off a mark may be without harm: more than that is said, and counts."""
        self._host = host
        self._meter = meter
        self._spec = spec
        self._bearable_s = bearable_s
        self._anchors = Anchors(KEEP)
        self._opened = 0
        self._missed = self._trials = 0
        """in this block"""

    def begin(self) -> None:
        self._missed = self._trials = 0
        if self._meter.opened != self._opened:
            self._anchors.clear()
            self._opened = self._meter.opened

    def end(self) -> None:
        """Every trial brings its own edges."""

    def forget(self) -> None:
        self._anchors.clear()

    @property
    def note(self) -> str:
        if self._missed > BEARABLE_MISSES * self._trials:
            return f"no edges on the marker line in {self._missed} of {self._trials} trials: look at its wiring"
        if self._spoilt:
            return f"edges of the marker line lie {self.fit().residual_s * 1e3:.2g} ms about their line"
        return ""

    @property
    def _spoilt(self) -> bool:
        return self._anchors.fit is not None and self._anchors.fit.residual_s > self._bearable_s

    def fit(self) -> ClockFit:
        return self._anchors.fit or self._host.fit()

    def place(self, trial: Mapping[str, Any]) -> Marks:
        by_host = self._host.place(trial)
        self._trials += 1
        self._look_for(trial["marked_ns"], by_host)
        if self._anchors.fit is None:
            return by_host
        further_s = self._anchors.fit.residual_s if self._spoilt else 0.0
        return self._anchors.place(self._anchors.fit, trial, further_s)

    def _look_for(self, set_ns: Sequence[Sequence[int]], by_host: Marks) -> None:
        """Find the edges of a trial; `set_ns`: between which moments the wire rose, and between which it fell."""
        marked_ns = [before + (after - before) // 2 for before, after in set_ns]
        took_s = [(after - before) * 1e-9 for before, after in set_ns]
        reach_s = REACH_S + REACH_U * by_host.standard_uncertainty_s + 2.0 * self._spec.period_s + max(took_s)
        reach_ns = round(reach_s * 1e9)
        samples = self._meter.trace(by_host.start_ns - reach_ns, by_host.end_ns + reach_ns)
        one = samples.of_channel(self._spec.total[0])
        expected = [int(time_ns) for time_ns in self._host.fit().to_controller(marked_ns)]
        for line in range(self._spec.mark_lines):
            edges = find_edges(one, line)
            if found := self._matched(edges, expected, reach_ns, sum(took_s)):
                for board_ns, edge, took in zip(marked_ns, found, took_s, strict=True):
                    spread_s = math.hypot(float(edges.spread_s[edge]), took / math.sqrt(12.0))
                    self._anchors.add(board_ns, int(edges.time_ns[edge]), spread_s, self._host.fit())
                return
        self._missed += 1
        _log.info("%s shows no edges of the marker line for a trial", self._spec.name)

    def _matched(self, edges: Edges, expected_ns: list[int], reach_ns: int, took_s: float) -> tuple[int, int] | None:
        """The edges of a trial's two marks, when they are there and off by the same; setting them took `took_s`."""
        rise, fall = (edges.nearest(at, rises=up) for at, up in zip(expected_ns, (True, False), strict=True))
        if rise is None or fall != rise + 1:  # the wire stays high from the one to the other; noise does not
            return None
        off_ns = [int(edges.time_ns[edge]) - at for edge, at in zip((rise, fall), expected_ns, strict=True)]
        apart_s = abs(off_ns[1] - off_ns[0]) * 1e-9
        agree = apart_s <= took_s + AGREE_PERIODS * max(self._spec.period_s, *edges.spread_s[[rise, fall]].tolist())
        return (rise, fall) if agree and max(map(abs, off_ns)) <= reach_ns else None
