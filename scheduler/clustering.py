"""Finding the bins of the state again from collected data, by clustering each feature as AutoScale does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scheduler.features import Bins, Edges
from scheduler.libraries import scikit_learn

RADIUS: Mapping[str, float] = {
    "conv_layers": 15.0,
    "fc_layers": 15.0,
    "rc_layers": 15.0,
    "macs": 500e6,
    "co_cpu": 0.05,
    "co_memory": 0.05,
    "rssi_dbm": 3.0,
    "peer_rssi_dbm": 3.0,
}
"""how far apart two samples of one cluster may lie; a choice of ours, as the paper's is not known"""


def find_edges(samples: Sequence[float], radius: float) -> Edges:
    """Edges halfway between neighbouring DBSCAN clusters of one feature; none where all is one cluster.

    Every sample is a cluster if it must be: none is called noise. Raises ValueError without samples.
    """
    if not len(samples):
        raise ValueError("bins: no samples to cluster")
    values = np.unique(np.asarray(samples, float))
    labels = scikit_learn("cluster").DBSCAN(eps=radius, min_samples=1).fit_predict(values[:, None])
    return tuple(float(values[i : i + 2].mean()) for i in np.flatnonzero(labels[1:] != labels[:-1]))


def find_bins(samples: Mapping[str, Sequence[float]], radius: Mapping[str, float] = RADIUS) -> Bins:
    """Bins from samples of each feature. Raises ValueError when one of the eight has none."""
    missing = sorted(set(RADIUS) - set(samples))
    if missing:
        raise ValueError(f"bins: no samples of {', '.join(missing)}")
    return Bins(**{name: find_edges(samples[name], radius[name]) for name in RADIUS})
