"""Plays a trace under load on a wire, and tells at which rates its packets came through."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from testbed.agent.clock import MonotonicClock
from testbed.agent.shaping.filters import Address
from testbed.network.conditions import Condition
from testbed.network.netem import NetemLink
from testbed.network.player import Change, play
from testbed.network.traces import LinkTrace, Step
from tests.testbed.network.kernel.wires import FAR_ADDRESSES, NEAR, PORT, Wire

PAYLOAD_BYTES = 1400
FRAME_BITS = 8 * (PAYLOAD_BYTES + 8 + 20 + 14)
"""with the headers of UDP, IPv4 and Ethernet"""
QUEUED, QUEUE_PACKETS = 40, 100
"""packets always under way, and room for them: enough that a busy machine does not run the queue dry"""
_TIMESTAMPNS = 35
"""SO_TIMESTAMPNS (asm-generic/socket.h)"""


def stairs(step_s: float, rates_bps: Sequence[float]) -> LinkTrace:
    """A rate after the other, each for `step_s`; no limit the other way."""
    conditions = [Condition(None, rate, inf, 0.0, 0.0, 0.0, queue_packets=QUEUE_PACKETS) for rate in rates_bps]
    steps = tuple(Step(i * step_s, condition) for i, condition in enumerate(conditions))
    return LinkTrace("stairs", steps, step_s * len(steps))


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
