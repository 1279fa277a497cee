"""Playback on a real kernel, judged by the packets that come through while it runs."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import inf

import numpy as np
import pytest
from numpy.typing import NDArray

from testbed.agent.clock import MonotonicClock
from testbed.agent.shaping.filters import Address
from testbed.network.conditions import Condition
from testbed.network.netem import NetemLink
from testbed.network.player import Change, play
from testbed.network.traces import LinkTrace, Step
from tests.testbed.network.kernel.wires import FAR_ADDRESSES, NEAR, PORT, Wire

HIGH_BPS, LOW_BPS = 20e6, 1e6
PAYLOAD_BYTES = 1400
FRAME_BITS = 8 * (PAYLOAD_BYTES + 8 + 20 + 14)
"""with the headers of UDP, IPv4 and Ethernet"""
QUEUED, QUEUE_PACKETS = 40, 100
"""packets always under way, and room for them: enough that a busy machine does not run the queue dry"""
_TIMESTAMPNS = 35
"""SO_TIMESTAMPNS (asm-generic/socket.h)"""


def square_wave(hz: float, high_bps: float, low_bps: float) -> LinkTrace:
    high, low = (
        Condition(None, rate_bps, inf, 0.0, 0.0, 0.0, queue_packets=QUEUE_PACKETS) for rate_bps in (high_bps, low_bps)
    )
    return LinkTrace("square", (Step(0.0, high), Step(0.5 / hz, low)), 1.0 / hz)


@contextmanager
def saturated(near: socket.socket, far: socket.socket) -> Iterator[list[int]]:
    """Keeps packets queued from near to far; yields when the kernel had each at the far end, CLOCK_REALTIME in ns."""
    arrived_ns: list[int] = []
    enough = threading.Event()

    def refill() -> None:
        while not enough.is_set():
            _, ancillary, _, _ = far.recvmsg(2048, 64)
            seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
            arrived_ns.append(seconds * 1_000_000_000 + nanoseconds)
            near.send(payload)

    payload = bytes(PAYLOAD_BYTES)
    far.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    for _ in range(QUEUED):
        near.send(payload)
    thread = threading.Thread(target=refill)
    thread.start()
    try:
        yield arrived_ns
    finally:
        enough.set()
        near.send(payload)  # one more arrival, should nothing be under way
        thread.join()


def follow(wire: Wire, trace: LinkTrace, length_s: float) -> tuple[list[Change], NDArray[np.int64]]:
    """Play a trace under load; returns the changes, and when packets came through on their clock."""
    near, far = wire.sockets()
    paths = {"cloud": [Address(FAR_ADDRESSES[4], PORT)]}
    with near, far, NetemLink.on_this_host(NEAR, paths, side="board", owner="a test") as link:
        link.apply(trace.at(0.0), "cloud")
        with saturated(near, far) as arrived_ns:
            changes = list(play(trace, link, "cloud", MonotonicClock(), length_s=length_s))
    offset_ns = time.monotonic_ns() - time.time_ns()
    return changes, np.array(arrived_ns, np.int64) + offset_ns


def rates_bps(changes: list[Change], arrived_ns: NDArray[np.int64], asked_bps: float) -> NDArray[np.float64]:
    """At which packets came through in each stretch of a rate, from one change that took effect to the next."""
    found = []
    for change, following in pairwise(changes[1:]):  # the first stretch begins with a full bucket
        if change.applied.asked.rate_up_bps == asked_bps:
            begin_ns, end_ns = change.applied.time_ns, following.applied.time_ns
            count = int(np.count_nonzero((arrived_ns >= begin_ns) & (arrived_ns < end_ns)))
            found.append(count * FRAME_BITS / ((end_ns - begin_ns) * 1e-9))
    return np.array(found)


def show_s(changes: list[Change], arrived_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """How long after each rise to HIGH_BPS took effect two packets came as close together as only that rate brings."""
    close = arrived_ns[:-1][np.diff(arrived_ns) < 1.5e9 * FRAME_BITS / HIGH_BPS]
    rises = [each.applied.time_ns for each in changes[1:] if each.applied.asked.rate_up_bps == HIGH_BPS]
    return np.array([(close[np.searchsorted(close, rise_ns)] - rise_ns) * 1e-9 for rise_ns in rises])


@pytest.mark.parametrize(
    ("hz", "length_s", "high_share", "low_slack_bps"), [(5, 6.0, 0.05, 0.5e6), (20, 4.0, 0.10, 1.5e6)]
)
def test_the_packets_follow_a_square_wave(
    a_wire: Wire, hz: float, length_s: float, high_share: float, low_slack_bps: float
) -> None:
    changes, arrived_ns = follow(a_wire, square_wave(hz, HIGH_BPS, LOW_BPS), length_s)
    high, low = (rates_bps(changes, arrived_ns, rate_bps) for rate_bps in (HIGH_BPS, LOW_BPS))
    assert np.median(high) == pytest.approx(HIGH_BPS, rel=high_share)
    assert np.median(low) == pytest.approx(LOW_BPS, abs=low_slack_bps)
    # What is told to have taken effect has, though a packet of the low rate takes 11.5 ms.
    assert np.median(show_s(changes, arrived_ns)) < 3e-3
    assert np.median([change.late_s for change in changes]) < 5e-3


def test_a_hundred_changes_a_second_leave_neither_gap_nor_spike(a_wire: Wire) -> None:
    high_bps, low_bps = 10e6, 8e6
    changes, arrived_ns = follow(a_wire, square_wave(50.0, high_bps, low_bps), 3.0)
    assert len(changes) >= 295
    inside = arrived_ns[(arrived_ns > changes[0].applied.time_ns) & (arrived_ns < changes[-1].applied.time_ns)]
    gaps_s = np.diff(inside) * 1e-9
    assert np.percentile(gaps_s, 99) < 4 * FRAME_BITS / low_bps
    window = 40  # packets, about 50 ms
    spans_s = (inside[window:] - inside[:-window]) * 1e-9
    assert np.percentile(window * FRAME_BITS / spans_s, 99) < 1.15 * high_bps
    assert window * FRAME_BITS / np.median(spans_s) == pytest.approx((high_bps + low_bps) / 2, rel=0.1)
