"""A power trace in characters: braille dots, 2 wide and 4 high in each cell, with its scale at the left."""

from __future__ import annotations

import math
from collections.abc import Sequence

Span = tuple[float, float]
"""least and greatest value of a column of dots"""

_PREFIXES = ((1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"))
_BLANK = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""bits of a braille cell: left and right column, from the top (Unicode, Braille Patterns)"""
_LABEL = 9
"""columns of the scale"""


def chart(spans: Sequence[Span | None], rows: int, unit: str) -> list[str]:
    """`rows` lines: a dot column for each span, None where nothing was measured; two span columns make a character."""
    known = [span for span in spans if span is not None]
    low, high = _bounds(min((span[0] for span in known), default=0.0), max((span[1] for span in known), default=1.0))
    cells = [[_BLANK] * math.ceil(len(spans) / 2) for _ in range(rows)]
    dots = rows * 4
    for column, span in enumerate(spans):
        if span is None:
            continue
        top, bottom = (round((high - value) / (high - low) * (dots - 1)) for value in (span[1], span[0]))
        for dot in range(top, bottom + 1):
            cells[dot // 4][column // 2] |= _DOTS[column % 2][dot % 4]
    labels = {0: si(high, unit), rows - 1: si(low, unit)}
    if rows % 2:
        labels[rows // 2] = si((high + low) / 2, unit)
    return [f"{labels.get(row, ''):>{_LABEL}} ┤" + "".join(map(chr, line)) for row, line in enumerate(cells)]


def width_of(columns: int) -> int:
    """How many spans a chart of so many characters shows."""
    return max(2, 2 * (columns - _LABEL - 2))


def si(value: float, unit: str) -> str:
    """Three digits with the unit's prefix: 0.00523, "W" -> "5.23 mW"."""
    factor, prefix = _prefix(value)
    return f"{_digits(value / factor)} {prefix}{unit}" if factor else f"0 {unit}"


def with_uncertainty(value: float, standard_uncertainty: float, unit: str) -> str:
    """Both in one unit, to the uncertainty's second digit: "7.370 ± 0.048 J"."""
    factor, prefix = _prefix(value)
    if not factor or standard_uncertainty <= 0:
        return si(value, unit)
    decimals = max(0, 1 - math.floor(math.log10(standard_uncertainty / factor)))
    return f"{value / factor:.{decimals}f} ± {standard_uncertainty / factor:.{decimals}f} {prefix}{unit}"


def _prefix(value: float) -> tuple[float, str]:
    """Factor and prefix; factor 0 for what is too small to show."""
    size = float(f"{abs(value):.3g}")
    return next(((factor, prefix) for factor, prefix in _PREFIXES if size >= factor), (0.0, ""))


def _digits(value: float) -> str:
    """Three of them, never an exponent, so that a figure that moves does not jump about."""
    decimals = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.3g}")))))
    return f"{value:.{decimals}f}"


def _bounds(low: float, high: float) -> Span:
    """Round figures around the values, some air between them and the edge; 0 as the lower one where it is near."""
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    span = max(high - low, abs(high) * 0.02, 1e-6)
    step = 10.0 ** math.floor(math.log10(span / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 8)
    return math.floor(low / step) * step, math.ceil((high + span * 0.02) / step) * step
