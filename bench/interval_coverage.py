"""How often 95 % intervals hold the truth, where trials come in blocks that differ, or do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench.figure import Figure
from results.statistics import Blocks, Estimate, resample_mean

RUNS, TRIALS, WITHIN = 500, 20, 0.1
"""simulated runs, trials of a block, and how far their energies scatter within one (standard deviation of the log)"""
BLOCKS, BETWEEN = (3, 4, 8), (0.0, 0.05, 0.2)
FACTOR = 2.0
"""between the two policies whose ratio is taken"""
LEAST = 0.9


@dataclass(frozen=True)
class Coverage:
    """Fraction of runs whose interval held the truth."""

    mean: float
    ratio: float
    """of two policies in the same blocks"""
    median: float
    trials: float
    """of the mean, had the trials been resampled instead of the blocks"""


def coverage(blocks: int, between: float, runs: int = RUNS) -> Coverage:
    """Blocks whose level scatters by `between` (standard deviation of the log)."""
    random = np.random.default_rng(5)
    truth = float(np.exp((between**2 + WITHIN**2) / 2))
    place = np.repeat(np.arange(blocks), TRIALS).tolist()
    held = np.zeros(4)
    for seed in range(runs):
        level = np.repeat(random.normal(0, between, blocks), TRIALS)
        one, other = (np.exp(level + random.normal(0, WITHIN, len(level))) for _ in range(2))
        drawn = Blocks.drawn(place, seed, "coverage")
        mean = drawn.mean(one.tolist())
        ratio = drawn.mean((FACTOR * other).tolist()).over(mean)
        held += [
            _holds(mean.estimate(), truth),
            ratio is not None and _holds(ratio.estimate(), FACTOR),
            _holds(drawn.median(one.tolist()).estimate(), 1.0),
            _holds(resample_mean(one.tolist(), seed, "trials").estimate(), truth),
        ]
    return Coverage(*(held / runs).tolist())


def figures() -> Iterator[Figure]:
    """For each number of blocks and how much they differ."""
    for blocks, between in product(BLOCKS, BETWEEN):
        found = coverage(blocks, between)
        how = f"{RUNS} simulated runs of {blocks} blocks of {TRIALS} trials, log-normal, {WITHIN:g} within a block"
        for name, value in (("mean", found.mean), ("ratio", found.ratio), ("median", found.median)):
            yield Figure(
                name=f"95 % interval of a {name}: {blocks} blocks, {between:g} between them",
                value=100 * value,
                unit="%",
                reference=f"a mean's over trials: {100 * found.trials:.0f} %" if name == "mean" else None,
                goal=f">= {LEAST:.0%}",
                holds=value >= LEAST,
                provenance=how,
            )


def _holds(estimate: Estimate, truth: float) -> bool:
    return estimate.low is not None and estimate.high is not None and estimate.low <= truth <= estimate.high
