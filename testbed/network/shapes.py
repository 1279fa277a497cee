"""From a condition to what is done to packets each way, and back from what the kernel holds."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf

from testbed.agent.shaping.shape import Shape
from testbed.network.conditions import MOST_QUEUE_PACKETS, BurstLoss, Condition

QUEUE_S = 0.05
"""longest wait in a full queue of whole frames: this testbed's proposal, tens of ms as in an access point"""
LEAST_PACKETS = 10
"""TCP's initial window (RFC 6928) must fit"""
UNLIMITED_QUEUE_BPS = 1e9
"""what a queue without a rate is made for"""
_FRAME_BITS = 8 * 1514
_SPREAD = 3.0
"""jitters above the delay that a packet may still be held"""
_ACKNOWLEDGED = 2
"""segments one acknowledgement stands for (RFC 9293, 3.8.6.3)"""


def shapes(condition: Condition) -> tuple[Shape, Shape]:
    """Up and down."""
    up_bps, down_bps = condition.rate_up_bps, condition.rate_down_bps
    return _shape(condition, up_bps, down_bps), _shape(condition, down_bps, up_bps)


def observed(asked: Condition, up: Shape, down: Shape, source: str) -> Condition:
    """The condition that the kernel holds, up and down having been read back."""
    return replace(
        asked,
        rate_up_bps=up.rate_bps,
        rate_down_bps=down.rate_bps,
        delay_s=up.delay_s,
        jitter_s=up.jitter_s,
        loss=up.loss,
        burst=None if up.burst is None else BurstLoss(*up.burst),
        delay_correlation=up.delay_correlation,
        reorder=up.reorder,
        duplicate=up.duplicate,
        corrupt=up.corrupt,
        queue_packets=max(up.queue_packets, down.queue_packets),
        source=source,
        measured=(),
        proposed=(),
    )


def _shape(condition: Condition, rate_bps: float, other_bps: float) -> Shape:
    burst = condition.burst
    return Shape(
        rate_bps=rate_bps,
        delay_s=condition.delay_s,
        jitter_s=condition.jitter_s,
        loss=condition.loss,
        queue_packets=condition.queue_packets or _queue_packets(condition, rate_bps, other_bps),
        distribution=condition.distribution,
        delay_correlation=condition.delay_correlation,
        burst=None if burst is None else (burst.to_bad, burst.to_good, burst.in_bad, burst.in_good),
        reorder=condition.reorder,
        duplicate=condition.duplicate,
        corrupt=condition.corrupt,
    )


def _queue_packets(condition: Condition, rate_bps: float, other_bps: float) -> int:
    """Room for all that is on its way, acknowledgements of the other direction among it, and for the wait."""
    here, there = (UNLIMITED_QUEUE_BPS if rate == inf else rate for rate in (rate_bps, other_bps))
    held_s = condition.delay_s + _SPREAD * condition.jitter_s
    on_its_way = max(here, there / _ACKNOWLEDGED) * held_s
    packets = ceil((on_its_way + here * QUEUE_S) / _FRAME_BITS)
    return min(max(LEAST_PACKETS, packets), MOST_QUEUE_PACKETS)
