"""How far measured joules lie from true ones, and whether their uncertainty knows: `python -m bench energy_accuracy`.

`python -m bench.energy_accuracy` prints every class; `--seeds 10` does so over seeds 1 to 10, says which class of which
seed is outside the limits, and leaves the table in bench/energy_accuracy.json. A seed takes about a minute.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.captures import Accuracy, Point, measure
from bench.figure import Figure

CAPTURES, SEED = 204, 2
OUTPUT = Path(__file__).with_suffix(".json")
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


def outside(points: Iterable[Point]) -> list[str]:
    """The classes that do not hold, each with what is wrong."""
    points = list(points)
    found = []
    for name, chosen in {**by_window(points), **by_load(points)}.items():
        accuracy = Accuracy.of(chosen)
        if not COVERAGE_LIMITS[0] <= accuracy.coverage <= COVERAGE_LIMITS[1]:
            found.append(f"{name}: {accuracy.coverage:.1%} within 2 u")
        if not RMS_LIMITS[0] <= accuracy.normalised_rms <= RMS_LIMITS[1]:
            found.append(f"{name}: rms error {accuracy.normalised_rms:.2f} u")
    for name, chosen in by_window(points).items():
        bias = Accuracy.of(chosen).bias
        if abs(bias) > BIAS_LIMITS[chosen[0].window_s]:
            found.append(f"{name}: bias {bias:.2%}")
    return found


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, help="measure with seeds 1 to so many, and write the table")
    several = parser.parse_args(arguments).seeds
    points: list[Point] = []
    troubles: dict[int, list[str]] = {}
    for seed in range(1, several + 1) if several else [SEED]:
        measured = measure(CAPTURES, seed)
        troubles[seed] = outside(measured)
        points += measured
        print(f"seed {seed}: {'; '.join(troubles[seed]) or 'every class holds'}", flush=True)
    rows = {name: Accuracy.of(chosen) for name, chosen in {**by_window(points), **by_load(points)}.items()}
    print(f"{'class':32}{'windows':>8}{'bias':>9}{'spread':>9}{'within 2u':>11}{'rms error/u':>13}")
    for name, accuracy in rows.items():
        print(
            f"{name:32}{accuracy.count:8d}{accuracy.bias:9.2%}{accuracy.spread:9.2%}{accuracy.coverage:11.1%}"
            f"{accuracy.normalised_rms:13.2f}"
        )
    if several:
        about = f"virtual: emulated meters through their drivers, {CAPTURES} captures a seed, seeds 1 to {several}"
        classes = {name: asdict(accuracy) for name, accuracy in rows.items()}
        table = {"provenance": about, "outside": troubles, "classes": classes}
        OUTPUT.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def _classes(points: Iterable[Point], name: Callable[[Point], str]) -> dict[str, list[Point]]:
    classes: dict[str, list[Point]] = {}
    for point in points:
        classes.setdefault(name(point), []).append(point)
    return classes


def _figure(name: str, value: float, limits: tuple[float, float]) -> Figure:
    low, high = limits
    return Figure(name, value, "1", None, f"{low:g} to {high:g}", low <= value <= high, PROVENANCE)


if __name__ == "__main__":
    main(sys.argv[1:])
