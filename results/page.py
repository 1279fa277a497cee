"""HTML pages that need nothing but a browser: plotly.js is inside, no address is ever fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from results import formats, names
from results.durable import write_whole


def write_text(path: Path, page: str) -> None:
    """Whole or not at all. Raises `StoreFull` when there is no space."""

    def write(part: Path) -> None:
        part.write_text(page, encoding="utf-8")

    write_whole(path, write)


def render_page(template: str, **values: Any) -> str:
    """A template that extends page.html.j2, with the wordings of `formats` and `names` as filters."""
    environment = Environment(
        loader=PackageLoader("results", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for wording in (
        *(formats.quantity, formats.with_uncertainty, formats.joules, formats.seconds),
        *(formats.percent, formats.signed_percent),
        *(formats.times, formats.times_interval, formats.joules_interval),
        *(formats.estimate_percent, formats.estimate_interval, formats.trials),
        *(names.policy_name, names.row_name),
    ):
        environment.filters[wording.__name__] = wording
    return environment.get_template(template).render(plotly_js=Markup(get_plotlyjs()), **values)


def drawn(figure: go.Figure, name: str) -> Markup:
    """A figure as a part of a page; `name` is unique there."""
    html = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"figure-{name}",
        config={"displayModeBar": False, "responsive": True},
    )
    return Markup(html)
