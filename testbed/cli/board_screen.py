"""A board as it goes, on the screen: each quantity a row, all on one time axis; lines where that cannot be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from power import MonitorSpec, Samples
from testbed.cli.chart import si

_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60
"""slots of the time axis"""
_REFRESHES_PER_S = 4
_LINE_EVERY_NS = 1_000_000_000
_UNITS = {"hz": "Hz", "c": "°C", "dbm": "dBm", "w": "W"}
"""last part of a reading's name -> its unit; other readings are shares"""


class Watched:
    """Takes readings in and shows them. A context manager: it owns the live part of the screen."""

    def __init__(self, console: Console, begin_ns: int, window_s: float) -> None:
        """The axis shows the last `window_s`; times are the controller's."""
        self._console = console
        self._lively = console.is_terminal and not console.is_dumb_terminal
        self._begin_ns = begin_ns
        self._window_s = window_s
        self._slot_ns = max(1, round(window_s * 1e9 / _COLUMNS))
        self._slots: dict[str, dict[int, tuple[float, int]]] = defaultdict(dict)
        """reading -> slot of the axis -> sum, and how many"""
        self._latest: dict[str, float] = {}
        self._now_ns = begin_ns
        self._line_due_ns = begin_ns
        self._live = Live(
            get_renderable=self.table, console=console, refresh_per_second=_REFRESHES_PER_S, transient=True
        )

    def __enter__(self) -> Watched:
        if self._lively:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lively:
            self._live.stop()

    def take(self, time_ns: int, readings: Mapping[str, float]) -> None:
        """Of the board's sensors, at one moment."""
        for name, value in readings.items():
            self._note(name, time_ns, value, 1)
        self._now_ns = max(self._now_ns, time_ns)
        if not self._lively and self._now_ns >= self._line_due_ns:
            self._line_due_ns = self._now_ns + _LINE_EVERY_NS
            self._console.print(self.line(), markup=False, soft_wrap=True)

    def take_power(self, samples: Samples, spec: MonitorSpec) -> None:
        """Of the bench's meter: each rail, and what of them is the board's power."""
        if not len(samples):
            return
        for number, channel in enumerate(spec.channels):
            self._take_trace(f"{channel.name}_w", samples.of_channel(number))
        if len(spec.channels) > 1:
            self._take_trace("power_w", samples.sum_of(spec.total))

    def line(self) -> str:
        """The latest of each, in one line."""
        told = ", ".join(f"{name} {shown(name, value)}" for name, value in self._latest.items())
        return f"{(self._now_ns - self._begin_ns) * 1e-9:.1f} s: {told or 'nothing tells anything'}"

    def table(self) -> RenderableType:
        """Each reading's value now, and its way over the window."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        table.add_column("", no_wrap=True)
        table.add_column("now", justify="right", no_wrap=True)
        table.add_column(f"the last {self._window_s:g} s", no_wrap=True)
        table.add_column("least to most", no_wrap=True)
        last = self._now_ns // self._slot_ns
        for name, value in self._latest.items():
            own = self._slots[name]
            means = [
                own[slot][0] / own[slot][1] if slot in own else None for slot in range(last - _COLUMNS + 1, last + 1)
            ]
            known = [mean for mean in means if mean is not None]
            extremes = f"{shown(name, min(known))} to {shown(name, max(known))}" if known else ""
            named, _, unit = name.rpartition("_")
            table.add_row(named if unit in _UNITS else name, shown(name, value), sparkline(means), extremes)
        return table

    def _take_trace(self, name: str, samples: Samples) -> None:
        if not len(samples):
            return
        slots = samples.time_ns // self._slot_ns
        for slot in np.unique(slots).tolist():
            inside = samples.power_w[slots == slot]
            self._note(name, slot * self._slot_ns, float(inside.sum()), len(inside))
        self._latest[name] = float(samples.power_w[-1])

    def _note(self, name: str, time_ns: int, total: float, count: int) -> None:
        own, slot = self._slots[name], time_ns // self._slot_ns
        before, times = own.get(slot, (0.0, 0))
        own[slot] = before + total, times + count
        for old in [kept for kept in own if kept <= slot - 2 * _COLUMNS]:
            del own[old]
        self._latest[name] = total / count


def sparkline(values: list[float | None]) -> str:
    """A bar for each value, the least at the bottom; a blank where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(" " if value is None else _BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


def shown(name: str, value: float) -> str:
    """With its unit, by the reading's name; a load in percent."""
    unit = _UNITS.get(name.rpartition("_")[2])
    if unit is None:
        return f"{value * 100:.0f} %"
    return f"{value:.1f} {unit}" if unit in ("°C", "dBm") else si(value, unit)
