"""HTML pages that need nothing but a browser: plotly.js is inside, no address is ever fetched.

A figure travels as JSON and is drawn when it comes into sight, in the colours of the reader's scheme. Behind each there
is a table of what it shows, and buttons that save it as SVG or PNG and its data as CSV.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from results import formats, names
from results.durable import write_whole

MOST_ROWS = 60
"""of the table behind a figure; of more points it shows so many, evenly spread (the CSV has them all)"""


def write_text(path: Path, page: str) -> None:
    """Whole or not at all. Raises `StoreFull` when there is no space."""

    def write(part: Path) -> None:
        part.write_text(page, encoding="utf-8")

    write_whole(path, write)


def render_page(template: str, **values: Any) -> str:
    """A template that extends page.html.j2, with the wordings of `formats` and `names` as filters."""
    return _environment().get_template(template).render(plotly_js=Markup(get_plotlyjs()), **values)


def drawn(figure: go.Figure, name: str, says: str) -> Markup:
    """A figure as a part of a page; `name` is unique there, `says` is read out in its stead."""
    columns, rows = _table(figure)
    shown = rows[:: -(-len(rows) // MOST_ROWS) or 1]
    html = (
        _environment()
        .get_template("drawing.html.j2")
        .render(
            name=name,
            says=says,
            height=figure.layout.height,
            columns=columns,
            rows=shown,
            left_out=len(rows) - len(shown),
            json=Markup(figure.to_json().replace("<", "\\u003c")),
        )
    )
    return Markup(html)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("results", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for wording in (
        *(formats.quantity, formats.with_uncertainty, formats.joules, formats.seconds),
        *(formats.percent, formats.signed_percent),
        *(formats.times, formats.times_interval, formats.joules_interval, formats.seconds_interval),
        *(formats.change, formats.change_interval, formats.points, formats.points_interval, formats.percent_interval),
        *(formats.estimate_percent, formats.estimate_interval, formats.trials),
        *(names.policy_name, names.row_name, names.target_colour),
    ):
        environment.filters[wording.__name__] = wording
    return environment


def _table(figure: go.Figure) -> tuple[list[str], list[tuple[str, ...]]]:
    """What the figure shows, a row a point: headings, cells."""
    axes = [figure.layout.xaxis.title.text or "", figure.layout.yaxis.title.text or "value"]
    rows = [(trace.name or "", *point) for trace in figure.data for point in _points(trace)]
    several = len({row[0] for row in rows}) > 1
    ranged = any(row[3] for row in rows)
    columns = ["series", *axes, "low to high"]
    keep = [several, True, True, ranged]
    return (
        [column for column, kept in zip(columns, keep, strict=True) if kept],
        [tuple(cell for cell, kept in zip(row, keep, strict=True) if kept) for row in rows],
    )


def _points(trace: Any) -> Iterator[tuple[str, str, str]]:
    x, y = (_labels(values) for values in (trace.x, trace.y))
    above, below = (trace.error_y.array, trace.error_y.arrayminus) if trace.error_y else ((), ())
    for at, value, plus, minus in zip_longest(x, y, [] if above is None else above, [] if below is None else below):
        if value is not None:
            ends = "" if plus is None else f"{_text(value - minus)} to {_text(value + plus)}"
            yield _text(at), _text(value), ends


def _labels(values: Any) -> list[Any]:
    """One a point; those of two levels, such as environment and policy, are joined."""
    if values is not None and len(values) and isinstance(values[0], (list, tuple)):
        return [", ".join(map(str, parts)) for parts in zip(*values, strict=True)]
    return [] if values is None else list(values)


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
