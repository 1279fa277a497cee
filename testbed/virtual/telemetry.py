"""Readings of a virtual board's own sensors: noisy and quantised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIGNAL_NOISE_DB = 1.5
"""standard deviation of a reading of the signal"""
LOAD_NOISE = (0.003, 0.03)
"""standard deviation of a reading of a load: a fixed part, and one relative to it"""


def read_load(random: np.random.Generator, load: ArrayLike) -> NDArray[np.float64]:
    """Readings of loads in 0..1, to 1 %."""
    true = np.asarray(load, np.float64)
    read = random.normal(true, np.hypot(LOAD_NOISE[0], LOAD_NOISE[1] * true))
    return np.asarray(np.round(np.clip(read, 0.0, 1.0), 2), np.float64)


def read_signal(random: np.random.Generator, rssi_dbm: ArrayLike) -> NDArray[np.float64]:
    """Readings of signals, to 1 dBm."""
    return np.asarray(np.round(random.normal(np.asarray(rssi_dbm, np.float64), SIGNAL_NOISE_DB)), np.float64)
