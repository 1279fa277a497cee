"""The state of a link, what signal strength makes of it, and what can impose it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from types import TracebackType
from typing import Any, Literal, Protocol, get_args

import numpy as np

from testbed.errors import BenchError

Standard = Literal["802.11n-ht20", "802.11n-ht40"]
Distribution = Literal["uniform", "normal", "pareto"]
REGULAR_DBM = -58.0
"""the signal of a link that stands for none in particular, to a radio that must have one"""


MOST_BPS = 100e9
MOST_DELAY_S = 60.0
MOST_QUEUE_PACKETS = 1_000_000
"""what lies beyond these is a slip of the pen, not a condition"""


@dataclass(frozen=True, slots=True)
class BurstLoss:
    """Loss by Gilbert and Elliott's chain of a good and a bad state, which takes a step with each packet."""

    to_bad: float
    """p: chance of going from good to bad"""
    to_good: float
    """r: chance of going from bad to good"""
    in_bad: float = 1.0
    """1-h: share lost in the bad state"""
    in_good: float = 0.0
    """1-k: share lost in the good state"""

    def __post_init__(self) -> None:
        for name in ("to_bad", "to_good", "in_bad", "in_good"):
            _require(f"burst.{name}", getattr(self, name), 0.0, 1.0)
        if self.to_bad + self.to_good == 0:
            raise BenchError("a condition's burst.to_bad and burst.to_good are both 0: its states never change")

    @property
    def mean(self) -> float:
        """Share of packets lost in the long run."""
        bad = self.to_bad / (self.to_bad + self.to_good)
        return bad * self.in_bad + (1.0 - bad) * self.in_good


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a link. A rate of 0 is an outage, a rate of infinity is no limit.

    Raises BenchError for a value that no link can have.
    """

    rssi_dbm: float | None
    """the signal it stands for; None where it stands for none"""
    rate_up_bps: float
    """from the board: goodput to the modelled radio, bits with all headers from Ethernet's on to a kernel"""
    rate_down_bps: float
    delay_s: float
    """one way"""
    jitter_s: float
    loss: float
    """share of packets lost at random, 0..1"""
    source: str = "as given"
    """where the numbers come from"""
    measured: tuple[str, ...] = ()
    """the fields that were measured, by whom `source` says"""
    proposed: tuple[str, ...] = ()
    """the fields that are this testbed's proposal; what is neither measured nor proposed is as given"""
    distribution: Distribution = "normal"
    """of the delay around its mean; its standard deviation is the jitter, of "uniform" the half-width"""
    delay_correlation: float = 0.0
    """of a packet's delay with that of the packet before, 0..1"""
    burst: BurstLoss | None = None
    """loss in bursts instead of at random; `loss` is then 0"""
    reorder: float = 0.0
    """share of packets sent at once, past those that are being delayed"""
    duplicate: float = 0.0
    corrupt: float = 0.0
    """share of packets in which a bit is flipped"""
    queue_packets: int | None = None
    """longest queue each way; None: by rate and delay"""

    def __post_init__(self) -> None:
        if self.rssi_dbm is not None:
            _require("rssi_dbm", self.rssi_dbm, -200.0, 50.0)
        for name in ("rate_up_bps", "rate_down_bps"):
            if getattr(self, name) != inf:
                _require(name, getattr(self, name), 0.0, MOST_BPS)
        for name in ("delay_s", "jitter_s"):
            _require(name, getattr(self, name), 0.0, MOST_DELAY_S)
        for name in ("loss", "delay_correlation", "reorder", "duplicate", "corrupt"):
            _require(name, getattr(self, name), 0.0, 1.0)
        if self.distribution not in get_args(Distribution):
            raise BenchError(
                f"a condition's distribution is one of {', '.join(get_args(Distribution))}, not {self.distribution!r}"
            )
        if self.queue_packets is not None:
            _require("queue_packets", self.queue_packets, 1, MOST_QUEUE_PACKETS)
        if self.burst is not None and self.loss:
            raise BenchError("a condition loses packets at random or in bursts: give 'loss' or 'burst'")
        if self.reorder and not self.delay_s:
            raise BenchError("a condition's reorder needs a delay_s: without one there is nothing to overtake")

    def as_json(self) -> dict[str, Any]:
        """Plain values, as they stand on record; JSON knows no infinity, and a rate without a limit is None."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: None if value == inf else value for name, value in plain.items()}

    def with_given(self, given: Mapping[str, Any]) -> Condition:
        """The same but for what is given of it, which is then neither measured nor proposed."""
        if not given:
            return self
        return replace(
            self,
            **given,
            source=f"{', '.join(given)} as given; the rest: {self.source}",
            measured=tuple(name for name in self.measured if name not in given),
            proposed=tuple(name for name in self.proposed if name not in given),
        )

    @property
    def mean_loss(self) -> float:
        """Share of packets lost in the long run, at random or in bursts."""
        return self.loss if self.burst is None else self.burst.mean

    def as_air(self) -> dict[str, float]:
        """What the modelled radio knows of a condition: bursts in the mean.

        Raises BenchError for what it has no model of.
        """
        if unknown := [name for name in ("reorder", "duplicate", "corrupt") if getattr(self, name)]:
            raise BenchError(f"the virtual link knows no {', '.join(unknown)}; leave it out, or use a netem link")
        return {
            "rssi_dbm": REGULAR_DBM if self.rssi_dbm is None else self.rssi_dbm,
            "rate_up_bps": self.rate_up_bps,
            "rate_down_bps": self.rate_down_bps,
            "delay_s": self.delay_s,
            "jitter_s": self.jitter_s,
            "loss": self.mean_loss,
        }


def _require(name: str, value: float, least: float, most: float) -> None:
    # Written so that NaN fails it.
    if not least <= value <= most:
        raise BenchError(f"a condition's {name} lies in {least:g}..{most:g}, not {value!r}")


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

    @property
    def targets(self) -> Collection[str]:
        """The remote targets it has a path to."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What a reader of results made under it must know."""

    @property
    def moves_radio(self) -> bool:
        """Whether the board's own radio is at the signal that is imposed, or works on at its own."""

    def apply(self, condition: Condition, target: str) -> Applied:
        """Impose a condition on the path to a remote target ("cloud", "edge")."""

    def require_held(self) -> None:
        """Raises BenchError where what was applied holds no more."""

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
    return Condition(
        rssi_dbm,
        rate_bps,
        rate_bps,
        delay_s,
        jitter_s,
        loss,
        source,
        measured=("rate_up_bps", "rate_down_bps"),
        proposed=("delay_s", "jitter_s", "loss"),
    )
