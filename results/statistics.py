"""Means, medians, ratios and their confidence intervals by the bootstrap, seeded.

What is resampled are blocks: trials of one block share its condition, its place in time and the board's temperature, so
they say less than as many independent ones. Of few blocks the percentiles lie too close together; they are drawn apart
about the estimate by Student's t over the normal quantile and by sqrt(B / (B - 1)), as Hesterberg does ("What Teachers
Should Know About the Bootstrap", The American Statistician 69, 2015, "expanded percentile"). Two blocks alone say
nothing of how far a third would lie: they have no interval, and count where they are pooled with others.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

RESAMPLES = 2000
CONFIDENCE = 0.95
FEWEST_BLOCKS = 3
"""with an interval of their own"""
MOST_ALONE = 100
"""of values of one block only, which are then resampled in so many runs of neighbours at most"""
_ROUNDING = 1e-24
"""a relative variance below this is none"""
_STEPS = 256
"""quantiles of the values among which a resample's median is sought; of fewer values it is exact"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % confidence interval; the interval is None where too few blocks or trials speak."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """A statistic and its bootstrap distribution."""

    value: float
    draws: NDArray[np.float64]
    """(RESAMPLES,); NaN where the trials are too few to resample"""
    freedom: float = inf
    """degrees of freedom of the draws' spread; infinite: their percentiles stand as they are"""
    picks: str = ""
    """what was picked in each draw: statistics with the same picks are of the same blocks, draw by draw"""
    ratio_scale: bool = True
    """whether its errors are a matter of factors, as an energy's, or of differences, as a fraction's"""

    def over(self, other: Resampled) -> Resampled | None:
        """The ratio of two energies; None unless both are above zero, which a meter that reads nothing may break."""
        if self.value <= 0 or other.value <= 0:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return Resampled(self.value / other.value, self.draws / other.draws, *_joined(self, other))

    def less(self, other: Resampled) -> Resampled:
        """The difference of two fractions."""
        return Resampled(self.value - other.value, self.draws - other.draws, *_joined(self, other), ratio_scale=False)

    def estimate(self, confidence: float = CONFIDENCE) -> Estimate:
        """With its interval."""
        if self.freedom < FEWEST_BLOCKS - 1 or not np.isfinite(self.draws).all():
            return Estimate(self.value, None, None)
        tail = 50 * (1 - confidence)
        low, high = np.percentile(self.draws, [tail, 100 - tail])
        apart = _apart(self.freedom, confidence)
        if apart == 1.0:
            return Estimate(self.value, float(low), float(high))
        if self.ratio_scale and low > 0 and self.value > 0:
            return Estimate(
                self.value, self.value * (low / self.value) ** apart, self.value * (high / self.value) ** apart
            )
        return Estimate(self.value, self.value + apart * (low - self.value), self.value + apart * (high - self.value))


def resample_mean(values: Sequence[float], seed: int, name: str) -> Resampled:
    """The mean of at least one value; the same seed and name draw the same resamples whatever else is computed."""
    data = np.asarray(values, np.float64)
    if len(data) < 2:
        return Resampled(float(data[0]), np.full(RESAMPLES, np.nan))
    rng = np.random.default_rng([seed % 2**63, zlib.crc32(name.encode())])
    return Resampled(float(data.mean()), data[rng.integers(len(data), size=(RESAMPLES, len(data)))].mean(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """What is resampled of some values: the block of each, or, of values of one block only, neighbours together."""

    place: NDArray[np.int64]
    """value -> its block, 0.."""
    weights: NDArray[np.float64]
    """(RESAMPLES, blocks): how often each was picked"""
    picks: str

    @classmethod
    def drawn(cls, blocks: Sequence[int], seed: int, name: str) -> Blocks:
        """Of values in these blocks. The same seed, name and set of blocks are picked alike: pairs stay pairs."""
        known, place = np.unique(np.asarray(blocks, np.int64), return_inverse=True)
        if len(known) < 2:
            place = np.arange(len(blocks)) * min(len(blocks), MOST_ALONE) // len(blocks)
            known = np.unique(place)
        picks = f"{seed}/{name}/{zlib.crc32(known.tobytes()):08x}"
        rng = np.random.default_rng([seed % 2**63, zlib.crc32(picks.encode())])
        weights = rng.multinomial(len(known), np.full(len(known), 1 / len(known)), size=RESAMPLES).astype(np.float64)
        return cls(place, weights, picks)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.weights.shape[1])

    def mean(self, values: Sequence[float]) -> Resampled:
        """Of the values, each alike."""
        return self.fraction(values, np.ones(len(values)), ratio_scale=True)

    def fraction(
        self, parts: Sequence[float], wholes: Sequence[float] | NDArray[np.float64], *, ratio_scale: bool = False
    ) -> Resampled:
        """The sum of the parts over that of the wholes."""
        part, whole = (np.bincount(self.place, np.asarray(of, np.float64), self.count) for of in (parts, wholes))
        value = float(part.sum() / whole.sum())
        if self.count < 2:
            return Resampled(value, np.full(RESAMPLES, np.nan), ratio_scale=ratio_scale)
        draws = (self.weights @ part) / (self.weights @ whole)
        return Resampled(value, draws, self.count - 1, self.picks, ratio_scale)

    def median(self, values: Sequence[float]) -> Resampled:
        """Of the values, each alike."""
        data = np.asarray(values, np.float64)
        value = float(np.median(data))
        if self.count < 2:
            return Resampled(value, np.full(RESAMPLES, np.nan))
        steps = np.sort(data)[np.linspace(0, len(data) - 1, min(len(data), _STEPS)).round().astype(np.int64)]
        at = self.place * len(steps) + np.searchsorted(steps, data).clip(max=len(steps) - 1)
        held = np.bincount(at, minlength=self.count * len(steps)).reshape(self.count, len(steps))
        below = np.cumsum(self.weights @ held, axis=1)
        draws = steps[np.argmax(below >= below[:, -1:] / 2, axis=1)]
        return Resampled(value, draws, self.count - 1, self.picks)


def geometric_mean(parts: Sequence[Resampled]) -> Resampled:
    """Of at least one part, all of them above zero. Parts with the same picks hang together, the others do not."""
    value = float(np.exp(np.mean(np.log([part.value for part in parts]))))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log([part.draws for part in parts])
    return Resampled(value, np.exp(logs.mean(axis=0)), *_pooled(parts, logs))


def mean(parts: Sequence[Resampled]) -> Resampled:
    """Of at least one difference; likewise."""
    draws = np.array([part.draws for part in parts])
    value = float(np.mean([part.value for part in parts]))
    return Resampled(value, draws.mean(axis=0), *_pooled(parts, draws), ratio_scale=False)


def is_heavy_tailed(values: Sequence[float]) -> bool:
    """Whether a mean says little of the values: a tenth or more off their median."""
    data = np.asarray(values, np.float64)
    return len(data) > 1 and bool(abs(data.mean() - np.median(data)) > 0.1 * abs(np.median(data)))


def _joined(one: Resampled, other: Resampled) -> tuple[float, str]:
    """Degrees of freedom and picks of a ratio or difference."""
    if one.picks == other.picks:
        return min(one.freedom, other.freedom), one.picks
    variances = [float(np.var(each.draws)) / (each.value**2 or 1.0) for each in (one, other)]
    return _welch(variances, [one.freedom, other.freedom]), f"{one.picks}|{other.picks}"


def _pooled(parts: Sequence[Resampled], draws: NDArray[np.float64]) -> tuple[float, str]:
    """Degrees of freedom and picks of the mean of draws, (parts, RESAMPLES)."""
    groups: dict[str, list[int]] = {}
    for number, part in enumerate(parts):
        groups.setdefault(part.picks or f"#{number}", []).append(number)
    variances = [float(np.var(draws[own].sum(axis=0))) for own in groups.values()]
    freedom = _welch(variances, [min(parts[number].freedom for number in own) for own in groups.values()])
    return freedom, "+".join(sorted(groups))


def _welch(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Welch and Satterthwaite: the degrees of freedom of a sum of independent parts."""
    whole = sum(variances)
    if not isfinite(whole):
        return min(freedoms)
    if whole < _ROUNDING:
        return sum(freedoms)
    rest = sum(variance**2 / freedom for variance, freedom in zip(variances, freedoms, strict=True))
    return whole**2 / rest if rest else inf


def _apart(freedom: float, confidence: float) -> float:
    if freedom == inf:
        return 1.0
    student = float(stdtrit(freedom, (1 + confidence) / 2))
    return sqrt((freedom + 1) / freedom) * student / NormalDist().inv_cdf((1 + confidence) / 2)
