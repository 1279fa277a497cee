"""The state of a link, what signal strength makes of it, and what can impose it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol

import numpy as np

Standard = Literal["802.11n-ht20", "802.11n-ht40"]


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a link. A rate of 0 is an outage."""

    rssi_dbm: float
    rate_up_bps: float
    """goodput from the board"""
    rate_down_bps: float
    delay_s: float
    """one way"""
    jitter_s: float
    loss: float
    """share of packets lost, 0..1"""
    source: str = "as given"
    """where the numbers come from"""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a condition."""

    asked: Condition
    observed: Condition
    """as read back from what imposes it"""
    time_ns: int
    """when it took effect, on the controller's CLOCK_MONOTONIC"""


class Link(Protocol):
    """Something that imposes conditions on the path to the remote targets. A context manager: leaving it restores."""

    def apply(self, condition: Condition, target: str) -> Applied:
        """Impose a condition on the path to a remote target ("cloud", "edge")."""

    def restore(self) -> None:
        """Leave the path as it was found."""

    def __enter__(self) -> Link: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


_MEDIAN_BPS: Mapping[Standard, Mapping[int, float]] = {
    "802.11n-ht20": {
        -88: 0.04e6,
        -83: 0.13e6,
        -78: 1.01e6,
        -73: 2.54e6,
        -68: 4.84e6,
        -63: 8.71e6,
        -58: 10.68e6,
        -53: 17.81e6,
        -48: 28.72e6,
    },
    "802.11n-ht40": {-83: 0.54e6, -78: 2.64e6, -73: 5.06e6, -68: 11.44e6, -63: 26.08e6, -58: 49.38e6},
}
"""Median goodput by the middle of a 5 dB bin: UDP downlink to moving clients, one-second means.

Counted from adamiaonr/wifi-vehicles (CC BY 4.0), ap-selection/data/feup-exp-201901/summary/final-exp-log.csv, over the
seconds in which iperf ran. HT40's bin at -53 dBm holds too few seconds (44) to count.
"""
_BIN_DB = 5.0

_PROPOSED: Mapping[int, tuple[float, float, float]] = {
    -83: (0.080, 0.060, 0.10),
    -78: (0.030, 0.025, 0.03),
    -73: (0.015, 0.012, 0.01),
    -68: (0.008, 0.006, 0.003),
    -63: (0.005, 0.003, 0.001),
    -58: (0.003, 0.002, 0.0),
    -48: (0.002, 0.001, 0.0),
}
"""One-way delay (s), jitter (s) and loss by signal strength: this testbed's proposal, not measured."""


def condition_at(rssi_dbm: float, standard: Standard = "802.11n-ht40") -> Condition:
    """What a link at this signal strength is like: interpolated, the rate in its logarithm.

    The uplink is taken to be as fast as the measured downlink. Weaker than the weakest signal measured is an outage.
    """
    table = _MEDIAN_BPS[standard]
    outage = rssi_dbm < min(table) - _BIN_DB / 2
    rate_bps = 0.0 if outage else float(np.exp(np.interp(rssi_dbm, list(table), np.log(list(table.values())))))
    delay_s, jitter_s, loss = (
        float(np.interp(rssi_dbm, list(_PROPOSED), column)) for column in zip(*_PROPOSED.values(), strict=True)
    )
    source = f"{standard}: goodput measured (adamiaonr/wifi-vehicles, CC BY 4.0); delay, jitter and loss proposed"
    return Condition(rssi_dbm, rate_bps, rate_bps, delay_s, jitter_s, loss, source)
