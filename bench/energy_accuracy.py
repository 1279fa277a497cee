"""How far measured joules lie from true ones, and whether their uncertainty knows: `python -m bench energy_accuracy`.

`python -m bench.energy_accuracy` prints every class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.captures import Accuracy, Point, measure
from bench.figure import Figure

CAPTURES, SEED = 204, 2
BIAS_LIMITS = {0.005: 0.03, 0.02: 0.01, 0.1: 0.002, 1.0: 0.002}
"""window in s -> the mean relative error allowed"""
COVERAGE_LIMITS = 0.90, 1.0
"""of the errors within two standard uncertainties"""
RMS_LIMITS = 0.5, 1.2
"""of the errors over their standard uncertainties: below is padded, above is optimistic"""
PROVENANCE = f"virtual: emulated meters through their drivers, {CAPTURES} captures, seed {SEED}"


def by_load(points: Iterable[Point]) -> dict[str, list[Point]]:
    """The points of each meter, place and load."""
    return _classes(points, lambda point: f"{point.meter}, {point.place}, {point.load}")


def by_window(points: Iterable[Point]) -> dict[str, list[Point]]:
    """The points of each meter and length of window."""
    return _classes(points, lambda point: f"{point.meter}, {point.window_s:g} s")


def figures() -> list[Figure]:
    """Of each meter and window the bias, of each meter, place and load what the uncertainty is worth."""
    points = measure(CAPTURES, SEED)
    found: list[Figure] = []
    for name, chosen in by_window(points).items():
        bias, limit = Accuracy.of(chosen).bias, BIAS_LIMITS[chosen[0].window_s]
        found.append(_figure(f"energy bias, {name}", bias, (-limit, limit)))
    for name, chosen in by_load(points).items():
        accuracy = Accuracy.of(chosen)
        found.append(_figure(f"errors within 2 u, {name}", accuracy.coverage, COVERAGE_LIMITS))
        found.append(_figure(f"rms error / u, {name}", accuracy.normalised_rms, RMS_LIMITS))
    return found


def main() -> None:
    """Print the table."""
    points = measure(CAPTURES, SEED)
    print(f"{'class':32}{'windows':>8}{'bias':>9}{'within 2u':>11}{'rms error/u':>13}")
    for name, chosen in {**by_window(points), **by_load(points)}.items():
        accuracy = Accuracy.of(chosen)
        print(
            f"{name:32}{accuracy.count:8d}{accuracy.bias:9.2%}{accuracy.coverage:11.1%}{accuracy.normalised_rms:13.2f}"
        )


def _classes(points: Iterable[Point], name: Callable[[Point], str]) -> dict[str, list[Point]]:
    classes: dict[str, list[Point]] = {}
    for point in points:
        classes.setdefault(name(point), []).append(point)
    return classes


def _figure(name: str, value: float, limits: tuple[float, float]) -> Figure:
    low, high = limits
    return Figure(name, value, "1", None, f"{low:g} to {high:g}", low <= value <= high, PROVENANCE)


if __name__ == "__main__":
    main()
