"""The two queues a direction is made of, packed for the kernel and read back: tbf at dequeue, netem under it.

Layouts: linux/pkt_sched.h. A share of 1 is 2**32 - 1, a time is counted in ns (and in ticks of 64 ns for kernels
before 4.15), a rate in bytes a second. The kernel keeps whatever a change leaves out, so every change says everything.
"""

from __future__ import annotations

import struct
from functools import cache
from math import inf

from testbed.agent.shaping.netlink import attribute, attributes, nest
from testbed.agent.shaping.shape import Shape

_TBF_PARMS, _TBF_RATE64, _TBF_PRATE64, _TBF_BURST, _TBF_PBURST = 1, 4, 5, 6, 7
_CORR, _DELAY_DIST, _REORDER, _CORRUPT, _LOSS, _RATE = 1, 2, 3, 4, 5, 6
_LATENCY64, _JITTER64, _SLOT = 10, 11, 12
_LOSS_GE = 2
_RATESPEC = struct.Struct("=BBHhHI")
_TBF = struct.Struct("=12s12sIII")
_NETEM = struct.Struct("=IIIIII")
_PAIR, _THREE, _FOUR = struct.Struct("=II"), struct.Struct("=III"), struct.Struct("=IIII")
_NETEM_RATE = struct.Struct("=IiIi")
_NO_SLOT = struct.Struct("=qqiiqq").pack(0, 0, 0, 0, 0, 0)
_ETHERNET = 1
_WHOLE = 2**32 - 1
_TICK_NS = 64
_IN_ORDER = _WHOLE
"""a rate of netem's own, in bytes a second: so high that it takes no time, but netem then lets no packet overtake"""

UNLIMITED_BPS = 200e9
"""stands for no limit"""
_PEAK_BYTES = int(1e12 / 8)
BURST_S = 1e-3
"""Worth of tokens that a late timer may catch up: 99 % are less than 0.5 ms late (User-Mode Linux at real-time
priority, measured). Each change fills the bucket anew, so it is no longer than need be."""
_LINK_HEADER_BYTES = 18
"""Ethernet with a VLAN tag"""
_TABLE, _SCALE = 1024, 8192
"""entries of a delay table, and what stands in it for one standard deviation (NETEM_DIST_SCALE)"""


def frame_bytes(mtu: int) -> int:
    """The longest packet an interface sends, with its link-layer header."""
    return mtu + _LINK_HEADER_BYTES


def tbf_options(shape: Shape, mtu: int) -> bytes:
    """The rate. What is longer than a frame comes in one piece from TCP's offload, and is cut into packets here:
    the peak rate is there only because its bucket's size says so. An outage is a bucket no packet fits in.
    """
    frame = frame_bytes(mtu)
    if shape.rate_bps == 0:
        rate, burst = 1, 1
    else:
        rate = max(1, round(min(shape.rate_bps, UNLIMITED_BPS) / 8))
        burst = frame + round(rate * BURST_S)
    limit = shape.queue_packets * frame
    return b"".join(
        (
            attribute(_TBF_PARMS, _TBF.pack(_ratespec(rate), _ratespec(_PEAK_BYTES), min(limit, _WHOLE), 0, 0)),
            attribute(_TBF_RATE64, struct.pack("=Q", rate)),
            attribute(_TBF_PRATE64, struct.pack("=Q", _PEAK_BYTES)),
            attribute(_TBF_BURST, struct.pack("=I", min(burst, _WHOLE))),
            attribute(_TBF_PBURST, struct.pack("=I", frame)),
        )
    )


def tbf_rate_bps(options: bytes) -> float:
    """The rate the kernel holds."""
    found = attributes(options)
    ratespec, *_ = _TBF.unpack(found[_TBF_PARMS][: _TBF.size])
    wide = found.get(_TBF_RATE64)
    rate = int.from_bytes(wide, "little") if wide else _RATESPEC.unpack(ratespec)[-1]
    if rate == 1:
        return 0.0
    return inf if rate * 8 == UNLIMITED_BPS else rate * 8.0


def netem_options(shape: Shape) -> bytes:
    """Everything but the rate."""
    delay_ns, jitter_ns = round(shape.delay_s * 1e9), round(shape.jitter_s * 1e9)
    fixed = _NETEM.pack(
        min(delay_ns // _TICK_NS, _WHOLE),
        shape.queue_packets,
        _share(shape.loss),
        1 if shape.reorder else 0,
        _share(shape.duplicate),
        min(jitter_ns // _TICK_NS, _WHOLE),
    )
    parts = [
        fixed,
        attribute(_CORR, _THREE.pack(_share(shape.delay_correlation), 0, 0)),
        attribute(_REORDER, _PAIR.pack(_share(shape.reorder), 0)),
        attribute(_CORRUPT, _PAIR.pack(_share(shape.corrupt), 0)),
        attribute(_RATE, _NETEM_RATE.pack(_IN_ORDER if jitter_ns else 0, 0, 0, 0)),
        attribute(_LATENCY64, struct.pack("=q", delay_ns)),
        attribute(_JITTER64, struct.pack("=q", jitter_ns)),
        attribute(_SLOT, _NO_SLOT),
    ]
    if jitter_ns:
        parts.append(attribute(_DELAY_DIST, _delay_table(shape.distribution)))
    if shape.burst is not None:
        p, r, in_bad, in_good = shape.burst
        # The kernel's h is what the bad state lets through.
        parts.append(
            nest(_LOSS, attribute(_LOSS_GE, _FOUR.pack(_share(p), _share(r), _share(1.0 - in_bad), _share(in_good))))
        )
    return b"".join(parts)


def read_shape(tbf: bytes, netem: bytes | None, asked: Shape) -> Shape:
    """What the kernel holds; of the delay's distribution it tells nothing. Without netem nothing but the rate."""
    rate_bps = tbf_rate_bps(tbf)
    if netem is None:
        limit = _TBF.unpack(attributes(tbf)[_TBF_PARMS][: _TBF.size])[2]
        queue = asked.queue_packets if limit else 0
        return Shape(rate_bps, 0.0, 0.0, 0.0, queue, asked.distribution, 0.0, None, 0.0, 0.0, 0.0)
    latency, limit, loss, _, duplicate, jitter = _NETEM.unpack_from(netem)
    found = attributes(netem[_NETEM.size :])
    lost = attributes(found.get(_LOSS, b"")).get(_LOSS_GE)
    return Shape(
        rate_bps=rate_bps,
        delay_s=_time_s(found.get(_LATENCY64), latency),
        jitter_s=_time_s(found.get(_JITTER64), jitter),
        loss=loss / _WHOLE,
        queue_packets=limit,
        distribution=asked.distribution,
        delay_correlation=_first(found.get(_CORR)),
        burst=_burst(lost) if lost else None,
        reorder=_first(found.get(_REORDER)),
        duplicate=duplicate / _WHOLE,
        corrupt=_first(found.get(_CORRUPT)),
    )


def _ratespec(rate: int) -> bytes:
    return _RATESPEC.pack(0, _ETHERNET, 0, 0, 0, min(rate, _WHOLE))


def _share(value: float) -> int:
    return round(value * _WHOLE)


def _first(packed: bytes | None) -> float:
    return int.from_bytes(packed[:4], "little") / _WHOLE if packed else 0.0


def _time_s(exact: bytes | None, ticks: int) -> float:
    time_ns = int.from_bytes(exact, "little") if exact else ticks * _TICK_NS
    return time_ns * 1e-9


def _burst(packed: bytes) -> tuple[float, float, float, float]:
    p, r, h, k1 = (value / _WHOLE for value in _FOUR.unpack(packed))
    return p, r, 1.0 - h, k1


@cache
def _delay_table(distribution: str) -> bytes:
    """The inverse of the distribution function, for a mean of 0 and a standard deviation of 1.

    "pareto" has the shape 3 (a mean of 3/2, a variance of 3/4), cut off at 4 standard deviations: a table says no more.
    It stays until another replaces it, so that "uniform", the kernel's way without one, is a table too.
    """
    from statistics import NormalDist  # slow to import, and the guard that starts with this module needs none

    middles = [(i + 0.5) / _TABLE for i in range(_TABLE)]
    if distribution == "uniform":
        values = [2.0 * u - 1.0 for u in middles]
    elif distribution == "normal":
        values = [NormalDist().inv_cdf(u) for u in middles]
    else:
        values = [((1.0 - u) ** (-1 / 3) - 1.5) / 0.75**0.5 for u in middles]
    return struct.pack(f"={_TABLE}h", *(max(-32767, min(32767, round(value * _SCALE))) for value in values))
