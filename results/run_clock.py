"""One time axis for a whole run, though the controller's clock may have begun again between start and resume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from results.records import TrialRecord

PAUSE_NS = 1_000_000_000
"""what stands between two sessions where nobody knows how long it was"""


def shifts_ns(trials: Sequence[TrialRecord]) -> NDArray[np.int64]:
    """What to add to the times of each trial, (trials,): the first begins at 0, a new session follows on."""
    shifts = np.zeros(len(trials), np.int64)
    shift_ns = -trials[0].start_ns if trials else 0
    for number, trial in enumerate(trials):
        if number and trial.start_ns < trials[number - 1].start_ns:
            shift_ns += trials[number - 1].end_ns + PAUSE_NS - trial.start_ns
        shifts[number] = shift_ns
    return shifts


def times_s(trials: Sequence[TrialRecord]) -> NDArray[np.float64]:
    """When each trial began, (trials,), in seconds from the first."""
    starts = np.array([trial.start_ns for trial in trials], np.int64)
    return np.asarray((starts + shifts_ns(trials)) * 1e-9)
