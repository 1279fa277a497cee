"""Figures as people read them. None becomes words, never a zero."""

from __future__ import annotations

from math import isinf

from results.statistics import Estimate

DASH, TIMES, MINUS, SPACE = "\u2013", "\u00d7", "\u2212", "\u00a0"
"""en dash, multiplication sign, minus sign, and a space that keeps a number and its unit on one line"""
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "\u00b5"), (1e-9, "n"))


def quantity(value: float | None, unit: str, unknown: str = DASH) -> str:
    """Three significant digits with an SI prefix, "12.3 mJ"."""
    if value is None:
        return unknown
    factor, prefix = _prefix(value)
    return f"{_digits(value / factor)}{SPACE}{prefix}{unit}"


def with_uncertainty(energy_j: float, standard_uncertainty_j: float) -> str:
    """An energy and two digits of its standard uncertainty under one prefix."""
    factor, prefix = _prefix(energy_j)
    return f"{_digits(energy_j / factor)}{SPACE}\u00b1{SPACE}{standard_uncertainty_j / factor:.2g}{SPACE}{prefix}J"


def joules(value: float | None) -> str:
    """An energy."""
    return quantity(value, "J", "not measured")


def seconds(value: float | None) -> str:
    """A time."""
    return quantity(value, "s")


def percent(value: float | None) -> str:
    """A fraction 0..1."""
    return DASH if value is None else f"{100 * value:.1f}{SPACE}%"


def signed_percent(value: float | None) -> str:
    """A relative difference."""
    if value is None:
        return DASH
    rounded = round(100 * value, 1) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:+.1f}{SPACE}%".replace("-", MINUS)


def times(estimate: Estimate | None) -> str:
    """A ratio, "6.12x"."""
    return "not measured" if estimate is None else f"{_digits(estimate.value)}{TIMES}"


def times_interval(estimate: Estimate | None) -> str:
    """The 95 % interval of a ratio; empty where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"{_digits(estimate.low)}{DASH}{_digits(estimate.high)}"


def joules_interval(estimate: Estimate | None) -> str:
    """The 95 % interval of an energy; empty where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    factor, prefix = _prefix(estimate.high)
    return f"{_digits(estimate.low / factor)}{DASH}{_digits(estimate.high / factor)}{SPACE}{prefix}J"


def seconds_interval(estimate: Estimate | None) -> str:
    """The 95 % interval of a time; empty where there is none, or no width."""
    if estimate is None or estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return ""
    factor, prefix = _prefix(estimate.high)
    return f"{_digits(estimate.low / factor)}{DASH}{_digits(estimate.high / factor)}{SPACE}{prefix}s"


def percent_interval(estimate: Estimate | None) -> str:
    """The 95 % interval of a fraction 0..1; empty where there is none, or no width."""
    if estimate is None or estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return ""
    return f"{100 * max(0.0, estimate.low):.1f}{DASH}{100 * min(1.0, estimate.high):.1f}{SPACE}%"


def change(estimate: Estimate | None) -> str:
    """A ratio as what it adds or takes, "+3.1 %"."""
    return DASH if estimate is None else signed_percent(estimate.value - 1)


def change_interval(estimate: Estimate | None) -> str:
    """The 95 % interval of a ratio, as what it adds or takes; empty where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"{signed_percent(estimate.low - 1)} to {signed_percent(estimate.high - 1)}"


def points(estimate: Estimate | None) -> str:
    """A difference of fractions in percentage points."""
    return DASH if estimate is None else signed_percent(estimate.value).replace("%", "points")


def points_interval(estimate: Estimate | None) -> str:
    """The 95 % interval of a difference of fractions; empty where there is none, or no width."""
    if estimate is None or estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return ""
    return f"{points(Estimate(estimate.low, None, None))} to {points(Estimate(estimate.high, None, None))}"


def estimate_percent(estimate: Estimate | None) -> str:
    """A share or a relative difference, two significant digits of a percent at least."""
    if estimate is None:
        return DASH
    value = 100 * estimate.value
    digits = f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"
    return f"{digits}{SPACE}%".replace("-", MINUS)


def estimate_interval(estimate: Estimate | None) -> str:
    """The 95 % interval of a share, in percent; empty where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return ""
    ends = (
        estimate_percent(Estimate(end, None, None)).removesuffix(f"{SPACE}%") for end in (estimate.low, estimate.high)
    )
    return f" {DASH} ".join(ends)


def trials(estimate: Estimate) -> str:
    """A median number of trials with the upper end of its interval; infinite is never."""
    if isinf(estimate.value):
        return "never"
    if estimate.high is None:
        return f"{estimate.value:.0f}"
    return f"{estimate.value:.0f} (\u2264{SPACE}{'never' if isinf(estimate.high) else format(estimate.high, '.0f')})"


def _prefix(value: float) -> tuple[float, str]:
    smallest = _PREFIXES[-1] if value else _PREFIXES[0]
    return next((prefix for prefix in _PREFIXES if abs(value) >= prefix[0]), smallest)


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:#.3g}".rstrip(".") if abs(value) < 999.5 else f"{value:,.0f}"
