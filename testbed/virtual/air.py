"""The air around a virtual board's radio: how long messages take under a condition.

The virtual radio draws each request's times from these functions, and who knows the truth draws from them in bulk:
there is one law. Bytes are those of the HTTP bodies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Seconds = NDArray[np.float64]

FADE = 0.23
"""Standard deviation of the logarithm of the goodput around its median, from one message to the next.

ln(p90 / p10) / 2.56 of the goodput of a receiver at -50..-46 dBm, where it mostly stood still: 34.4 and 19.3 Mbit/s
(adamiaonr/wifi-vehicles, 802.11n HT20, CC BY 4.0).
"""
PACKET_BYTES = 1448
"""of a TCP segment's payload on Ethernet-sized frames, with timestamps"""
RTO_S = 0.2
"""Linux's least retransmission time-out (TCP_RTO_MIN), which doubles with every loss in a row (RFC 6298)"""
TAIL_PACKETS = 3
"""a loss among the last ones brings no three duplicate acknowledgements (RFC 5681): only the time-out notices it"""
MOST_BACKOFFS = 6
LEAST_S = 1e-6
"""delays and jitters below this are not drawn"""


@dataclass(frozen=True, slots=True)
class Air:
    """A condition, as the radio feels it. A rate of 0 is an outage."""

    rssi_dbm: float
    rate_up_bps: float
    """median goodput from the board"""
    rate_down_bps: float
    delay_s: float
    """mean, one way"""
    jitter_s: float
    """standard deviation of the one-way delay"""
    loss: float
    """share of packets that the radio's own retries do not save, in [0, 1)"""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The parts of a request's time, each of shape (size,)."""

    transmit_s: Seconds
    wait_s: Seconds
    receive_s: Seconds


def upload_s(rng: np.random.Generator, air: Air, n_bytes: int, size: int) -> Seconds:
    """Time from a request's first byte leaving the radio to its last. Shape (size,); inf in an outage."""
    return _transfer_s(rng, air, air.rate_up_bps, n_bytes, size)


def download_s(rng: np.random.Generator, air: Air, n_bytes: int, size: int) -> Seconds:
    """Time from a reply's first byte to its last, at the board. Shape (size,); inf in an outage."""
    return _transfer_s(rng, air, air.rate_down_bps, n_bytes, size)


def one_way_s(rng: np.random.Generator, air: Air, size: int) -> Seconds:
    """One-way delay: never negative, skewed to the late side (a gamma distribution). Shape (size,)."""
    if min(air.delay_s, air.jitter_s) < LEAST_S:
        return np.full(size, air.delay_s)
    return rng.gamma((air.delay_s / air.jitter_s) ** 2, air.jitter_s**2 / air.delay_s, size)


def round_trip(
    rng: np.random.Generator, air: Air, up_bytes: int, down_bytes: int, service_s: ArrayLike, size: int
) -> RoundTrip:
    """A request of `up_bytes`, served in `service_s` (one time, or one each), answered with `down_bytes`."""
    transmit_s = upload_s(rng, air, up_bytes, size)
    wait_s = one_way_s(rng, air, size) + np.asarray(service_s, dtype=np.float64) + one_way_s(rng, air, size)
    return RoundTrip(transmit_s, wait_s, download_s(rng, air, down_bytes, size))


def _transfer_s(rng: np.random.Generator, air: Air, rate_bps: float, n_bytes: int, size: int) -> Seconds:
    if n_bytes == 0:
        return np.zeros(size)
    if rate_bps == 0:
        return np.full(size, np.inf)
    sent_s = 8 * n_bytes / (rate_bps * np.exp(FADE * rng.standard_normal(size)))
    return sent_s + _recovery_s(rng, air, rate_bps, n_bytes, size)


def _recovery_s(rng: np.random.Generator, air: Air, rate_bps: float, n_bytes: int, size: int) -> Seconds:
    """What TCP needs for lost packets: a round trip to notice each and to send it again, or time-outs at the tail."""
    packets = -(-n_bytes // PACKET_BYTES)
    lost = rng.binomial(packets, air.loss, size)
    noticed_s = lost * (2 * air.delay_s + 8 * PACKET_BYTES / rate_bps)
    at_tail = rng.random(size) < 1 - (1 - air.loss) ** min(packets, TAIL_PACKETS)
    backoffs = np.where(at_tail, np.minimum(rng.geometric(1 - air.loss, size), MOST_BACKOFFS), 0)
    return noticed_s + RTO_S * (2.0**backoffs - 1)
