"""Physical quantities in configuration: a plain number in SI units, or a text with its unit ("33.3 ms", "1.7 GHz")."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_PREFIX = {"": 1.0, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_QUANTITY = {
    "s": "time",
    "Hz": "frequency",
    "V": "voltage",
    "A": "current",
    "W": "power",
    "J": "energy",
    "Ohm": "resistance",
    "bit/s": "data rate",
    "dBm": "signal strength",
    "C": "temperature",
    "%": "share",
}
_TEXT = re.compile(r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*(\S.*?)\s*")
_EXAMPLE = {
    "s": "33.3 ms",
    "Hz": "1.7 GHz",
    "Ohm": "10 mOhm",
    "bit/s": "11 Mbit/s",
    "dBm": "-67 dBm",
    "C": "55 C",
    "%": "75 %",
}


def _split(text: str) -> tuple[float, str, float] | None:
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    number, written = match[1], match[2].removeprefix("°")
    for unit in _QUANTITY:
        if written.endswith(unit) and written[: -len(unit)] in _PREFIX:
            return float(number), unit, _PREFIX[written[: -len(unit)]]
    return None


def parse_quantity(value: object, unit: str) -> object:
    """The value in `unit` as a float; what is neither number nor text is left for the caller's own check.

    Raises ValueError for a text without a unit of this kind.
    """
    if not isinstance(value, str):
        return value
    parts = _split(value)
    example = _EXAMPLE.get(unit, f"2.5 {unit}")
    if parts is None:
        raise ValueError(f"'{value}' is not a {_QUANTITY[unit]}: write it like '{example}', or as a number in {unit}")
    number, written, scale = parts
    if written != unit:
        raise ValueError(f"'{value}' is a {_QUANTITY[written]}; a {_QUANTITY[unit]} is expected, such as '{example}'")
    return number * scale


def _share(value: object) -> object:
    percent = parse_quantity(value, "%")
    return percent / 100.0 if isinstance(value, str) and isinstance(percent, float) else value


def _parser(unit: str) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_quantity(value, unit))


def _schema(unit: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": ["number", "string"],
            "description": f"a {_QUANTITY[unit]}: a number in {unit}, or a text with its unit",
        }
    )


Seconds = Annotated[float, _parser("s"), _schema("s")]
Hertz = Annotated[float, _parser("Hz"), _schema("Hz")]
Volts = Annotated[float, _parser("V"), _schema("V")]
Amperes = Annotated[float, _parser("A"), _schema("A")]
Ohms = Annotated[float, _parser("Ohm"), _schema("Ohm")]
Dbm = Annotated[float, _parser("dBm"), _schema("dBm")]
Watts = Annotated[float, _parser("W"), _schema("W")]
Celsius = Annotated[float, _parser("C"), _schema("C")]
Share = Annotated[
    float,
    BeforeValidator(lambda value: _share(value)),
    WithJsonSchema({"type": ["number", "string"], "description": "a share: from 0 to 1, or a text like '75 %'"}),
]
