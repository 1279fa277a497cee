"""Means, ratios and their confidence intervals by the bootstrap, seeded."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % confidence interval; the interval is None where fewer than two trials speak."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """A statistic and its bootstrap distribution."""

    value: float
    draws: NDArray[np.float64]
    """(RESAMPLES,); NaN where the trials are too few to resample"""

    def over(self, other: Resampled) -> Resampled | None:
        """The ratio of two energies; None unless both are above zero, which a meter that reads nothing may break."""
        if self.value <= 0 or other.value <= 0:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return Resampled(self.value / other.value, self.draws / other.draws)

    def estimate(self) -> Estimate:
        """With the percentile interval, which is too narrow for a handful of trials."""
        if not np.isfinite(self.draws).all():
            return Estimate(self.value, None, None)
        tail = 50 * (1 - CONFIDENCE)
        low, high = np.percentile(self.draws, [tail, 100 - tail])
        return Estimate(self.value, float(low), float(high))


def resample_mean(values: Sequence[float], seed: int, name: str) -> Resampled:
    """The mean of at least one value; the same seed and name draw the same resamples whatever else is computed."""
    data = np.asarray(values, np.float64)
    if len(data) < 2:
        return Resampled(float(data[0]), np.full(RESAMPLES, np.nan))
    rng = np.random.default_rng([seed % 2**63, zlib.crc32(name.encode())])
    return Resampled(float(data.mean()), data[rng.integers(len(data), size=(RESAMPLES, len(data)))].mean(axis=1))


def geometric_mean(parts: Sequence[Resampled]) -> Resampled:
    """Of at least one part, all of them above zero."""
    value = float(np.exp(np.mean(np.log([part.value for part in parts]))))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Resampled(value, np.exp(np.mean(np.log([part.draws for part in parts]), axis=0)))
