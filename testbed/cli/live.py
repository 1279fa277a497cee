"""A trace as it grows, on the screen: a chart of the last seconds and the sums so far; lines where that cannot be."""

from __future__ import annotations

from collections import deque
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from power import MonitorSpec, Samples, Sum, Tally
from testbed.cli.chart import Span, chart, si, width_of, with_uncertainty

REFRESHES_PER_S = 8
_CHART_ROWS = 9
_SLOTS_PER_S = 100
"""the finest the chart can show: least and greatest power of 10 ms each"""
_LINE_EVERY_NS = 1_000_000_000


class LiveTrace:
    """Takes samples in and shows them. A context manager: it owns the live part of the screen."""

    def __init__(self, console: Console, spec: MonitorSpec, begin_ns: int, window_s: float, title: str) -> None:
        """The chart shows the last `window_s`; `title` says what is shown, and its caution."""
        self._console = console
        self._lively = console.is_terminal and not console.is_dumb_terminal
        self._spec = spec
        self._title = title
        self._begin_ns = begin_ns
        self._window_s = window_s
        self._slots: deque[tuple[int, Span]] = deque(maxlen=round(window_s * _SLOTS_PER_S))
        self._tally = Tally(spec)
        self._line_due_ns = begin_ns + _LINE_EVERY_NS
        self._now_ns = begin_ns
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=REFRESHES_PER_S, transient=True
        )

    def __enter__(self) -> LiveTrace:
        self._console.print(self._title, markup=False, soft_wrap=True)
        if self._lively:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lively:
            self._live.stop()

    def take(self, samples: Samples) -> None:
        """Count them in."""
        total = self._tally.add(samples)
        if not len(total):
            return
        slots = total.time_ns // (1_000_000_000 // _SLOTS_PER_S)
        for slot in sorted(set(slots.tolist())):
            self._note(slot, total.power_w[slots == slot].min(), total.power_w[slots == slot].max())
        self._now_ns = int(total.time_ns[-1])
        if not self._lively and self._now_ns >= self._line_due_ns:
            self._line_due_ns += _LINE_EVERY_NS
            self._console.print(self.line(), markup=False, soft_wrap=True)

    def line(self) -> str:
        """The sums so far, in one line."""
        total = self._tally.total
        if total.latest_w is None or total.mean_w is None:
            return "no samples"
        return (
            f"{self._elapsed_s:.1f} s: {si(total.latest_w, 'W')} now, mean {si(total.mean_w, 'W')}, "
            f"peak {si(total.peak_w, 'W')}, {_energy(total)}, {_lost(total)}"
        )

    @property
    def _elapsed_s(self) -> float:
        return (self._now_ns - self._begin_ns) * 1e-9

    def _note(self, slot: int, low_w: float, high_w: float) -> None:
        if self._slots and self._slots[-1][0] == slot:
            _, before = self._slots.pop()
            low_w, high_w = min(low_w, before[0]), max(high_w, before[1])
        self._slots.append((slot, (float(low_w), float(high_w))))

    def _render(self) -> Group:
        columns = self._console.width
        rows = min(_CHART_ROWS, max(3, self._console.height - len(self._spec.channels) - 9))
        lines = chart(self._spans(width_of(columns)), rows, "W")
        scale = f"{'':>9} └{'last ' + format(self._window_s, 'g') + ' s':─>{max(0, columns - 12)}}"
        return Group(
            *(Text(line, style="green", no_wrap=True) for line in lines),
            Text(scale, style="dim", no_wrap=True),
            self._table(),
            Text(f"{self._elapsed_s:.1f} s; Ctrl-C ends", style="dim"),
        )

    def _spans(self, columns: int) -> list[Span | None]:
        """The slots of the window, as many columns; a column without a slot of its own repeats the one before."""
        spans: list[Span | None] = [None] * columns
        end = self._now_ns / 1e9 * _SLOTS_PER_S
        per_column = self._window_s * _SLOTS_PER_S / columns
        for slot, (low_w, high_w) in list(self._slots):
            first = columns - int((end - slot) / per_column) - 1
            last = columns - int((end - slot - 1) / per_column) - 1
            for column in range(max(first, 0), min(max(last, first), columns - 1) + 1):
                before = spans[column]
                spans[column] = (low_w, high_w) if before is None else (min(low_w, before[0]), max(high_w, before[1]))
        return spans

    def _table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
        table.add_column("", no_wrap=True)
        for heading in ("now", "mean", "peak", "energy", "lost"):
            table.add_column(heading, justify="right", no_wrap=True)
        if len(self._tally.channels) > 1:
            for channel in self._tally.channels:
                table.add_row(channel.channel.name, *_figures(channel))
            table.add_section()
        table.add_row(Text("total", style="bold"), *_figures(self._tally.total))
        return table


def _figures(sums: Sum) -> tuple[str, ...]:
    if sums.latest_w is None or sums.mean_w is None:
        return ("-",) * 5
    return si(sums.latest_w, "W"), si(sums.mean_w, "W"), si(sums.peak_w, "W"), _energy(sums), _lost(sums)


def _energy(sums: Sum) -> str:
    return with_uncertainty(sums.energy_j, sums.standard_uncertainty_j, "J")


def _lost(sums: Sum) -> str:
    if not sums.lost:
        return "none lost"
    return f"{sums.lost} of {sums.count + sums.lost} lost"
