"""Least squares for powers: none is negative, some rise with frequency, and a few wild measurements do not count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

FloatArray = NDArray[np.float64]

HUBER = 1.345
"""standard deviations from which a residual counts less: 95 % efficient on a normal distribution (Huber, 1981)"""
_ROUNDS = 10
_MAD_TO_DEVIATION = 1.4826
_LEAST_DEVIATION = 1e-3
"""relative: residuals all but nought are no reason to trust the rest less"""


class SingularError(ValueError):
    """The measurements cannot tell a parameter, with the reason."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Parameters with their standard uncertainties, each of shape (p,)."""

    values: FloatArray
    standard_uncertainties: FloatArray


def rising(count: int) -> FloatArray:
    """Columns that make a sum of steps, none negative, of parameters that must not fall. Shape (count, count)."""
    return np.tril(np.ones((count, count)))


def robust(
    design: FloatArray, target: FloatArray, standard_uncertainties: FloatArray, steps: FloatArray | None = None
) -> Solution:
    """Solve design @ p = target for p = steps @ d with d >= 0; without `steps`, for p >= 0.

    Residuals beyond `HUBER` deviations count less (iteratively reweighted). Raises SingularError where a parameter has
    no measurement that depends on it.
    """
    steps = np.eye(design.shape[1]) if steps is None else steps
    if (np.abs(design).sum(axis=0) == 0).any() or len(design) == 0:
        raise SingularError("there is no measurement that one of the powers depends on")
    rows = (design @ steps) / standard_uncertainties[:, None]
    aim = target / standard_uncertainties
    scale = np.linalg.norm(rows, axis=0)
    rows = rows / scale
    weights = np.ones(len(aim))
    for _ in range(_ROUNDS):
        solution, _ = nnls(rows * weights[:, None], aim * weights)
        residuals = aim - rows @ solution
        deviation = max(_MAD_TO_DEVIATION * float(np.median(np.abs(residuals))), _LEAST_DEVIATION)
        # Least squares weights the square, hence the root.
        weights = np.sqrt(np.minimum(1.0, HUBER * deviation / np.maximum(np.abs(residuals), 1e-300)))
    values = steps @ (solution / scale)
    return Solution(values, _uncertainties(rows * weights[:, None], residuals * weights, solution, steps / scale))


def _uncertainties(rows: FloatArray, residuals: FloatArray, solution: FloatArray, steps: FloatArray) -> FloatArray:
    """Of the parameters, from the scatter about the fit; those held at nought have none of their own."""
    free = np.flatnonzero(solution > 0.0)
    freedom = len(rows) - len(free)
    if freedom <= 0 or len(free) == 0:
        return np.full(len(steps), np.nan)
    variance = float(residuals @ residuals) / freedom
    covariance = variance * np.linalg.pinv(rows[:, free].T @ rows[:, free])
    spread = steps[:, free]
    return np.asarray(np.sqrt(np.maximum(0.0, np.einsum("ij,jk,ik->i", spread, covariance, spread))))
