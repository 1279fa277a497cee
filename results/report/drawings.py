"""The figures of a run beyond those of its policies, drawn with plotly; what they show is computed elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from results.analysis import Row
from results.comparison import Change
from results.figures import ACCENT, FAINT, INK, WARM, figure_of, whiskers
from results.names import row_colour, row_name
from results.records import TrialRecord
from results.report.history import History
from results.report.spread import Spread, envelope
from results.statistics import Estimate

_SPARE = ("#009e73", "#cc79a7", "#e69f00")


def by_place(
    rows: Sequence[Row],
    environments: Sequence[str],
    value: Callable[[Row], Estimate | None],
    title: str,
    limit: float | None = None,
) -> go.Figure:
    """Dots of one workload with their intervals on a log scale: by environment and policy; `limit` is a line."""
    figure = figure_of(
        300,
        {"type": "category", "categoryorder": "array", "categoryarray": list(environments), "ticks": ""},
        {"title": {"text": title}, "type": "log", "tickformat": "~s"},
        scattermode="group",
        scattergap=0.3,
    )
    for policy, phase in dict.fromkeys((row.policy, row.phase) for row in rows):
        own = [(row, value(row)) for row in rows if (row.policy, row.phase) == (policy, phase)]
        known = [(row, estimate) for row, estimate in own if estimate]
        if known:
            figure.add_scatter(
                x=[row.environment for row, _ in known],
                y=[estimate.value for _, estimate in known],
                error_y=whiskers([estimate for _, estimate in known], thickness=1.5, width=3),
                mode="markers",
                marker={"color": row_colour(policy, phase), "size": 8},
                name=row_name(policy, phase),
                hovertemplate="%{x}, %{fullData.name}: %{y:.3~s}<extra></extra>",
            )
    if limit is not None:
        figure.add_hline(y=limit, line={"color": WARM, "width": 1.5, "dash": "dash"})
    return figure


def power(history: History) -> go.Figure:
    """Mean power in the trials' windows, and of the idle board, over the run."""
    figure = _over_run("time from the first trial, s", "power, W")
    if history.power_w:
        _add_spread(figure, history.power_w, "in the window", ACCENT, "%{y:.3~s} W")
    if history.baseline_w:
        _add_spread(figure, history.baseline_w, "baseline", WARM, "%{y:.3~s} W")
    figure.update_yaxes(rangemode="tozero")
    return figure


def temperature(history: History) -> go.Figure:
    """Of the board before each trial; trials that throttled are marked on the axis."""
    figure = _over_run("time from the first trial, s", "temperature, °C")
    if history.temperature_c:
        _add_spread(figure, history.temperature_c, "temperature", WARM, "%{y:.1f} °C")
        if history.throttled_s:
            figure.add_scatter(
                x=list(history.throttled_s),
                y=[float(history.temperature_c.high.max())] * len(history.throttled_s),
                mode="markers",
                marker={"symbol": "triangle-down", "color": INK, "size": 9},
                name="throttled",
                hovertemplate="throttled at %{x:.1f} s<extra></extra>",
            )
    return figure


def present(history: History) -> go.Figure:
    """Share of each window's samples that arrived."""
    figure = _over_run("time from the first trial, s", "samples present")
    if history.present:
        _add_spread(figure, history.present, "present", ACCENT, "%{y:.1%}")
    figure.update_yaxes(tickformat=".0%")
    return figure


def residuals(history: History) -> go.Figure:
    """Of the clocks' fits, block by block."""
    figure = _over_run("record of a block", "residual, s")
    figure.update_yaxes(type="log", tickformat="~s")
    for colour, (name, found) in zip((ACCENT, WARM, *_SPARE), history.residuals_s.items(), strict=False):
        _add_spread(figure, found, name, colour, "%{y:.3~s}s")
    return figure


def stretch(trials: Sequence[TrialRecord], samples: pa.Table) -> go.Figure:
    """The power trace of trials in a row, the window of each shaded; for zooming in."""
    figure = figure_of(
        340,
        {"title": {"text": "time from the first window, s"}, "fixedrange": False},
        {"title": {"text": "power, W"}, "rangemode": "tozero"},
        dragmode="zoom",
    )
    origin_ns = trials[0].start_ns
    time_s = (samples["time_ns"].to_numpy() - origin_ns) * 1e-9
    channel, power_w = samples["channel"].to_numpy(), samples["power_w"].to_numpy()
    for number in np.unique(channel):
        own = channel == number
        x, y = envelope(time_s[own], power_w[own])
        figure.add_scatter(
            x=np.round(x, 6).tolist(),
            y=np.round(y, 4).tolist(),
            mode="lines",
            line={"shape": "vh", "width": 1, "color": ACCENT if number == channel[0] else INK},
            name=f"channel {number}",
            hovertemplate="%{x:.4f} s: %{y:.3f} W<extra></extra>",
        )
    for trial in trials:
        figure.add_vrect(
            x0=(trial.start_ns - origin_ns) * 1e-9,
            x1=(trial.end_ns - origin_ns) * 1e-9,
            fillcolor=ACCENT,
            opacity=0.14,
            line_width=0,
            layer="below",
        )
    return figure


def changes(found: Sequence[Change]) -> go.Figure:
    """Energy after over energy before, less 1, with intervals; a line a place and policy."""
    shown = [(change, change.energy) for change in reversed(found) if change.energy]
    figure = figure_of(
        70 + 22 * len(shown),
        {"title": {"text": "change of energy"}, "tickformat": "+.0%"},
        {"type": "category", "showgrid": False, "ticks": ""},
    )
    figure.add_scatter(
        x=[estimate.value - 1 for _, estimate in shown],
        y=[f"{change.workload}, {change.environment}, {row_name(change.policy, change.phase)}" for change, _ in shown],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(e.high or e.value) - e.value for _, e in shown],
            "arrayminus": [e.value - (e.low or e.value) for _, e in shown],
            "thickness": 1.5,
            "width": 3,
        },
        mode="markers",
        marker={"color": [row_colour(change.policy, change.phase) for change, _ in shown], "size": 8},
        hovertemplate="%{y}: %{x:+.1%}<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": INK, "width": 1, "dash": "dot"})
    return figure


def _over_run(x: str, y: str) -> go.Figure:
    return figure_of(
        260, {"title": {"text": x}, "fixedrange": False}, {"title": {"text": y}, "gridcolor": FAINT}, dragmode="zoom"
    )


def _add_spread(figure: go.Figure, found: Spread, name: str, colour: str, form: str) -> None:
    x = np.round(found.time_s, 3).tolist()
    if found.merged:
        figure.add_scatter(
            x=[*x, *reversed(x)],
            y=[*found.low.tolist(), *reversed(found.high.tolist())],
            fill="toself",
            fillcolor=colour,
            opacity=0.25,
            line={"width": 0, "color": colour},
            mode="lines",
            name=f"{name}, least to greatest",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=x,
        y=found.middle.tolist(),
        mode="lines" if len(x) > 1 else "markers",
        line={"color": colour, "width": 1.5},
        name=name,
        hovertemplate="%{x:.1f}: " + form + "<extra></extra>",
    )
