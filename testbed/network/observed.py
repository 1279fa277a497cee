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
    asked_s = 2 * held.delay_s + sum(8 * _HEAD_BYTES / rate for rate in (held.rate_up_bps, held.rate_down_bps) if rate)
    slack_s = RTT_SLACK_S + JITTERS * 2**0.5 * held.jitter_s
    if abs(path.rtt_s - asked_s) > slack_s:
        found.append(f"round trip {path.rtt_s * 1e3:.1f} ms, {asked_s * 1e3:.1f} ± {slack_s * 1e3:.1f} ms asked")
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
