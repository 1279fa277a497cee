"""The eight features of AutoScale's state, and the bins that make them one row of a table."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, fields
from itertools import pairwise
from math import log10, prod

from scheduler.contract import Network, State

Edges = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Bins:
    """Ascending edges of each feature; n edges make n + 1 bins.

    A value on an edge belongs to the bin above it, except for the two signals, where it belongs to the bin below
    (the paper calls a signal regular when it is *above* -80 dBm).

    The defaults are the edges of AutoScale (Kim and Wu, MICRO 2020, arXiv 2005.02544) (recalled): 3,072 rows. They fit
    the paper's own layer counts. A co-runner of "0 %" is one that a monitor would show so, rounded to the percent.
    """

    conv_layers: Edges = (30.0, 50.0, 90.0)
    fc_layers: Edges = (10.0,)
    rc_layers: Edges = (10.0,)
    macs: Edges = (1000e6, 2000e6)
    co_cpu: Edges = (0.005, 0.25, 0.75)
    co_memory: Edges = (0.005, 0.25, 0.75)
    rssi_dbm: Edges = (-80.0,)
    peer_rssi_dbm: Edges = (-80.0,)

    def __post_init__(self) -> None:
        for name, edges in self.edges().items():
            if any(low >= high for low, high in pairwise(edges)):
                raise ValueError(f"bins: the edges of {name} must ascend, each above the last; got {edges}")

    def edges(self) -> dict[str, Edges]:
        """Feature -> edges, in the order of the fields."""
        return {feature.name: getattr(self, feature.name) for feature in fields(self)}

    @property
    def rows(self) -> int:
        """How many discrete states there are."""
        return prod(len(edges) + 1 for edges in self.edges().values())


PUBLISHED_BINS = Bins()

GRAPH_BINS = Bins(conv_layers=(13.5, 37.0, 78.0))
"""Edges for layers counted from an ONNX graph: one for each Conv node, depthwise ones too.

So counted the paper's networks have 0, 27, 47, 52, 53, 57, 62 and 94 convolutions (MobileBERT, MobileNet v1, SSD v1,
MobileNet v2, ResNet50, Inception v1, MobileNet v3, Inception v3). The edges halve the gaps wider than 15.
"""


def as_numbers(state: State) -> tuple[float, float, float, float, float, float, float, float]:
    """The eight features on scales of order one: counts divided, the size as a logarithm, signals from -50 dBm down."""
    network = state.task.network
    return (
        network.conv_layers / 50.0,
        network.fc_layers / 50.0,
        network.rc_layers / 10.0,
        log10(max(network.macs, 1) / 1e9),
        state.co_cpu,
        state.co_memory,
        (-50.0 - state.rssi_dbm) / 30.0,
        (-50.0 - state.peer_rssi_dbm) / 30.0,
    )


PLAUSIBLE = {"co_cpu": (0.0, 1.0), "co_memory": (0.0, 1.0), "rssi_dbm": (-120.0, 0.0), "peer_rssi_dbm": (-120.0, 0.0)}
"""feature -> least and greatest value that a board can observe"""


def implausible(state: State) -> str | None:
    """What is wrong with a state, in words: a feature that is not a number or out of range. None for a good one."""
    for name, (least, greatest) in PLAUSIBLE.items():
        value: float = getattr(state, name)
        if not least <= value <= greatest:
            return f"{name} is {value:g}, outside {least:g}..{greatest:g}"
    return None


class RowIndex:
    """State -> row in 0..bins.rows - 1. The part of the row that a network fixes is worked out once a task."""

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self._bases: dict[str, tuple[Network, int]] = {}
        self._cpu, self._memory = bins.co_cpu, bins.co_memory
        self._rssi, self._peer_rssi = bins.rssi_dbm, bins.peer_rssi_dbm
        self._cpu_bins, self._memory_bins = len(bins.co_cpu) + 1, len(bins.co_memory) + 1
        self._rssi_bins, self._peer_rssi_bins = len(bins.rssi_dbm) + 1, len(bins.peer_rssi_dbm) + 1

    def __call__(self, state: State) -> int:
        """Row of a state."""
        task = state.task
        known = self._bases.get(task.name)
        if known is None or known[0] is not task.network:
            known = self._bases[task.name] = task.network, self._base(task.network)
        row = known[1] * self._cpu_bins + bisect_right(self._cpu, state.co_cpu)
        row = row * self._memory_bins + bisect_right(self._memory, state.co_memory)
        row = row * self._rssi_bins + bisect_left(self._rssi, state.rssi_dbm)
        return row * self._peer_rssi_bins + bisect_left(self._peer_rssi, state.peer_rssi_dbm)

    def _base(self, network: Network) -> int:
        row = 0
        for name in ("conv_layers", "fc_layers", "rc_layers", "macs"):
            edges: Edges = getattr(self.bins, name)
            row = row * (len(edges) + 1) + bisect_right(edges, getattr(network, name))
        return row
