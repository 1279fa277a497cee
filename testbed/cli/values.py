"""Values on the command line: quantities with or without their unit, shares as fractions or percent."""

from __future__ import annotations

from collections.abc import Callable

import typer

from testbed.config.quantities import parse_quantity


def quantity(unit: str) -> Callable[[str | float], float]:
    """A parser of positive values: a number in SI units, or one with its unit ("10s", "5.1 V")."""

    def parse(value: str | float) -> float:
        try:
            number = float(value)
        except ValueError:
            try:
                number = float(str(parse_quantity(value, unit)))
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None
        if not 0 < number < float("inf"):
            raise typer.BadParameter(f"'{value}' is not above 0")
        return number

    return parse


def share(value: str | float) -> float:
    """From 0 up to 0.5: "0.01" or "1%"."""
    text = str(value)
    try:
        number = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise typer.BadParameter(f"'{value}' is no share: write it like 1%, or 0.01") from None
    if not 0 <= number <= 0.5:
        raise typer.BadParameter(f"'{value}' is not between 0 and 50%")
    return number
