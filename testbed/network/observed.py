"""What the path to an endpoint turned out to be like, beside what was asked of the link."""

from __future__ import annotations

from testbed.agent.probe import Path
from testbed.network.conditions import Condition

PROBE_S = 0.1
"""how long a large request is to take"""
GOODPUT_FACTOR = 1.5
"""a goodput further than this from the rate in force, either way, strays"""
JUDGED_BPS = 100e6
"""faster rates are not judged: a request of a tenth of a second is then as much the servers' work as the path's"""
LOSS_JUDGED = 0.01
"""with more packets lost than this a goodput may be as low as it likes: TCP backs off"""
RTT_SLACK_S = 0.010
"""a round trip may be so much longer or shorter than the delays, jitter and sending times ask for"""
JITTERS = 3.0
"""and so many times the jitter of a round trip besides"""
RSSI_SLACK_DB = 6.0
"""how far a radio's signal may lie from the one asked for: single readings wander by several dB"""
_HEAD_BYTES = 300
"""of a small request or its reply, with the headers of TCP, IP and Ethernet"""


def probe_bytes(condition: Condition) -> int:
    """Length of a request that takes about `PROBE_S` at a condition's rate; the probe bounds it."""
    return int(min(condition.rate_up_bps, 1e9) * PROBE_S / 8)


def strays(held: Condition, path: Path) -> tuple[str, ...]:
    """In which ways a path is not what the link was told to make of it; empty where it is."""
    found = []
    # A small request may pass at once on what a full bucket of the shaper holds, or take its time at the rate.
    sending_s = sum(8 * _HEAD_BYTES / rate for rate in (held.rate_up_bps, held.rate_down_bps) if rate)
    slack_s = RTT_SLACK_S + JITTERS * 2**0.5 * held.jitter_s
    low_s, high_s = 2 * held.delay_s - slack_s, 2 * held.delay_s + sending_s + slack_s
    # A busy machine delays some of the requests, never all; none makes any of them faster.
    if path.least_rtt_s > high_s or path.rtt_s < low_s:
        seen_s = path.rtt_s if path.rtt_s < low_s else path.least_rtt_s
        found.append(f"round trip {seen_s * 1e3:.1f} ms, {max(low_s, 0) * 1e3:.1f} to {high_s * 1e3:.1f} ms asked")
    rate_bps = held.rate_up_bps
    low_bps = rate_bps / GOODPUT_FACTOR if held.mean_loss <= LOSS_JUDGED else 0.0
    high_bps = rate_bps * GOODPUT_FACTOR
    if rate_bps <= JUDGED_BPS and not low_bps <= path.goodput_up_bps <= high_bps:
        found.append(f"goodput {path.goodput_up_bps / 1e6:.3g} Mbit/s up, {rate_bps / 1e6:.3g} Mbit/s asked")
    return tuple(found)


def strays_in_signal(asked_dbm: float, radio_dbm: float) -> tuple[str, ...]:
    """Whether a radio receives another signal than the link was told to bring about."""
    if abs(radio_dbm - asked_dbm) <= RSSI_SLACK_DB:
        return ()
    return (f"signal {radio_dbm:g} dBm, {asked_dbm:g} ± {RSSI_SLACK_DB:g} dBm asked",)
