"""The arena's figures, drawn with plotly; what they show is computed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from results.arena.curves import ArenaCurve
from results.figures import FAINT, INK, LOOK
from results.learning import moving_mean
from results.names import policy_name, row_colour

SPAN = 5
"""trials of the curves' moving mean"""


def learning(curves: Sequence[ArenaCurve]) -> go.Figure:
    """Energy over Opt's, trial by trial; a line a policy."""
    figure = _lines(320, "energy chosen / Opt's", "log")
    for curve in curves:
        _add(figure, curve, moving_mean(curve.over_opt, SPAN), "%{y:.3f}")
    figure.update_yaxes(dtick="D2", tickformat="~g")
    figure.add_hline(y=1, line={"color": INK, "width": 1, "dash": "dot"})
    return figure


def adapting(curves: Sequence[ArenaCurve], shift: int) -> go.Figure:
    """Share of decisions within 5 % of Opt, trial by trial, about a shift."""
    figure = _lines(260, "within 5 % of Opt", "linear")
    for curve in curves:
        _add(figure, curve, [100 * value for value in curve.near], "%{y:.0f} %")
    figure.update_yaxes(range=[0, 102], dtick=25, ticksuffix=" %")
    figure.add_vline(x=shift, line={"color": INK, "width": 1, "dash": "dot"})
    return figure


def _lines(height: int, title: str, kind: str) -> go.Figure:
    return go.Figure(
        layout={
            "template": {"layout": LOOK},
            "height": height,
            "xaxis": {"title": {"text": "trial"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": title}, "type": kind, "gridcolor": FAINT},
        }
    )


def _add(figure: go.Figure, curve: ArenaCurve, values: Sequence[float], form: str) -> None:
    figure.add_scatter(
        x=list(range(1, len(values) + 1)),
        y=[round(value, 4) for value in values],
        mode="lines",
        name=policy_name(curve.policy),
        line={"color": row_colour(curve.policy, "all"), "width": 2},
        hovertemplate="%{fullData.name}, trial %{x}: " + form + "<extra></extra>",
    )
