"""The report's figures, drawn with plotly; what they show is computed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from results.analysis import Row
from results.learning import Curve
from results.names import decision_order, environment_colour, policy_name, row_colour, row_name, target_colour
from results.records import TrialRecord
from results.statistics import Estimate

INK, FAINT, ACCENT, WARM = "#222222", "#d9d9d9", "#0072b2", "#d55e00"
MOST_POINTS = 400
"""of a learning curve; its moving mean hides nothing between them"""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


AXIS = {
    "showline": True,
    "linecolor": INK,
    "ticks": "outside",
    "ticklen": 4,
    "automargin": True,
    "zeroline": False,
    "fixedrange": True,
    "title": {"font": {"size": 13}, "standoff": 8},
}
LOOK = {
    "margin": {"l": 56, "r": 24, "t": 20, "b": 44},
    "font": {"family": FONT, "size": 13, "color": INK},
    "paper_bgcolor": "white",
    "plot_bgcolor": "white",
    "showlegend": False,
    "dragmode": False,
    "xaxis": AXIS | {"showgrid": False},
    "yaxis": AXIS | {"gridcolor": FAINT},
}


def figure_of(height: int, x: dict[str, Any], y: dict[str, Any], **layout: Any) -> go.Figure:
    """An empty figure of that height in pixels; `x` and `y` are what its axes add to the common look."""
    return go.Figure(layout={"template": {"layout": LOOK}, "height": height, "xaxis": x, "yaxis": y, **layout})


def whiskers(estimates: Sequence[Estimate], **line: Any) -> dict[str, Any]:
    """The intervals of what is drawn, as plotly's error bars, one without an interval none; `line` is their look."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [(e.high or e.value) - e.value for e in estimates],
        "arrayminus": [e.value - (e.low or e.value) for e in estimates],
        **line,
    }


def efficiency(rows: Sequence[Row], environments: Sequence[str]) -> go.Figure:
    """Grouped bars of one workload: energy efficiency by environment and policy; the baseline is the line at 1."""
    figure = figure_of(
        300,
        {"type": "category", "categoryorder": "array", "categoryarray": list(environments), "ticks": ""},
        {"title": {"text": "times Edge (CPU FP32)"}, "rangemode": "tozero"},
        barmode="group",
        bargap=0.25,
        bargroupgap=0.05,
    )
    for policy, phase in dict.fromkeys((row.policy, row.phase) for row in rows):
        own = [(row, row.efficiency) for row in rows if (row.policy, row.phase) == (policy, phase)]
        known = [(row, estimate) for row, estimate in own if estimate]
        figure.add_bar(
            x=[row.environment for row, _ in known],
            y=[estimate.value for _, estimate in known],
            error_y=whiskers([estimate for _, estimate in known], thickness=1, width=2, color=INK),
            marker={"color": row_colour(policy, phase)},
            name=row_name(policy, phase),
            hovertemplate="%{x}, %{fullData.name}: %{y:.2f}\u00d7<extra></extra>",
        )
    figure.add_hline(y=1, line={"color": INK, "width": 1, "dash": "dot"})
    return figure


def decisions(rows: Sequence[Row]) -> go.Figure:
    """Stacked bars of one workload: the share of each target, a bar for each environment and policy."""
    bars = list(reversed(rows))
    figure = figure_of(
        60 + 24 * len(bars),
        {"range": [0, 100], "dtick": 25, "ticksuffix": " %", "title": {"text": "of decisions"}},
        {"type": "multicategory", "showgrid": False, "ticks": "", "showdividers": False},
        barmode="stack",
        bargap=0.25,
    )
    labels = [[row.environment for row in bars], [row_name(row.policy, row.phase) for row in bars]]
    for decision in sorted({decision for row in bars for decision in row.quality.decisions}, key=decision_order):
        share = [
            100 * row.quality.decisions.get(decision, 0) / max(1, sum(row.quality.decisions.values())) for row in bars
        ]
        figure.add_bar(
            x=share,
            y=labels,
            orientation="h",
            name=decision,
            marker={"color": target_colour(decision), "line": {"color": "white", "width": 1}},
            hovertemplate="%{fullData.name}: %{x:.0f} %<extra></extra>",
        )
    return figure


def learning(curves: Sequence[Curve]) -> go.Figure:
    """Lines of one workload and learner: energy over Opt's (or the baseline's) by decision, one line an environment."""
    unit = policy_name(curves[0].over)
    figure = figure_of(
        300,
        {"title": {"text": "decision"}, "rangemode": "tozero"},
        {"title": {"text": f"energy chosen / {unit}'s"}, "type": "log", "dtick": "D2", "tickformat": "~g"},
    )
    for curve in curves:
        step = -(-len(curve.energy) // MOST_POINTS)
        figure.add_scatter(
            x=list(range(1, len(curve.energy) + 1, step)),
            y=[round(energy, 4) for energy in curve.energy[::step]],
            mode="lines",
            name=curve.environment,
            line={"color": environment_colour(curve.environment), "width": 2},
            hovertemplate="%{fullData.name}, decision %{x}: %{y:.3f}<extra></extra>",
        )
    figure.add_hline(y=1, line={"color": INK, "width": 1, "dash": "dot"})
    return figure


def power_trace(trial: TrialRecord, samples: pa.Table) -> go.Figure:
    """Power against time about one trial's window: the window shaded between its two marks, the baseline dashed."""
    figure = figure_of(
        340,
        {"title": {"text": "time from the first mark, ms"}, "fixedrange": False},
        {"title": {"text": "power, W"}, "rangemode": "tozero"},
        dragmode="zoom",
    )
    end_ms = (trial.end_ns - trial.start_ns) * 1e-6
    time_ms = (samples["time_ns"].to_numpy() - trial.start_ns) * 1e-6
    channel = samples["channel"].to_numpy()
    near = (time_ms > -0.5 * end_ms) & (time_ms < 1.5 * end_ms)
    for number in np.unique(channel):
        shown = near & (channel == number)
        figure.add_scatter(
            x=np.round(time_ms[shown], 4).tolist(),
            y=np.round(samples["power_w"].to_numpy()[shown], 4).tolist(),
            mode="lines",
            line={"shape": "vh", "width": 1, "color": ACCENT if number == channel[0] else INK},
            name=f"channel {number}",
            hovertemplate="%{x:.2f} ms: %{y:.3f} W<extra></extra>",
        )
    figure.add_vrect(x0=0, x1=end_ms, fillcolor=ACCENT, opacity=0.1, line_width=0, layer="below")
    for mark_ms, text, side in ((0.0, "first mark", "top left"), (end_ms, "last mark", "top right")):
        line = {"color": INK, "width": 1.5}
        figure.add_vline(x=mark_ms, line=line, annotation_text=text, annotation_position=side)
    baseline_w = trial.energy.baseline_power_w if trial.energy else None
    if baseline_w is not None:
        dashed = {"color": WARM, "width": 1.5, "dash": "dash"}
        figure.add_hline(
            y=baseline_w,
            line=dashed,
            annotation_text="baseline",
            annotation_position="top right",
            annotation_font_color=WARM,
        )
    return figure


def truth_errors(trials: Sequence[TrialRecord]) -> go.Figure:
    """Histogram of (measured - true energy) / standard uncertainty, with the band of 2 standard uncertainties."""
    scores = [
        (trial.energy.energy_j - trial.truth_energy_j) / trial.energy.standard_uncertainty_j
        for trial in trials
        if trial.energy and trial.truth_energy_j and trial.outcome == "ok" and trial.energy.standard_uncertainty_j > 0
    ]
    figure = figure_of(
        260,
        {"title": {"text": "(measured \u2212 true energy) / standard uncertainty"}},
        {"title": {"text": "trials"}},
        bargap=0.05,
    )
    counts, edges = np.histogram(scores, bins=min(60, max(5, round(len(scores) ** 0.5))))
    figure.add_bar(
        x=((edges[1:] + edges[:-1]) / 2).round(3).tolist(),
        y=counts.tolist(),
        marker={"color": ACCENT},
        hovertemplate="%{x}: %{y} trials<extra></extra>",
    )
    figure.add_vrect(x0=-2, x1=2, fillcolor=ACCENT, opacity=0.1, line_width=0, layer="below")
    return figure
