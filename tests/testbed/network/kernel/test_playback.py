"""Playback on a real kernel, judged by the packets that come through while it runs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from testbed.network.player import Change
from tests.testbed.network.kernel.playback import FRAME_BITS, follow, rates_bps, stairs
from tests.testbed.network.kernel.wires import Wire

HIGH_BPS, LOW_BPS = 20e6, 1e6


def show_s(changes: list[Change], arrived_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """How long after each rise to HIGH_BPS took effect two packets came as close together as only that rate brings."""
    close = arrived_ns[:-1][np.diff(arrived_ns) < 1.5e9 * FRAME_BITS / HIGH_BPS]
    rises = [each.applied.time_ns for each in changes[1:-1] if each.applied.asked.rate_up_bps == HIGH_BPS]
    return np.array([(close[np.searchsorted(close, rise_ns)] - rise_ns) * 1e-9 for rise_ns in rises])


@pytest.mark.parametrize(
    ("hz", "length_s", "high_share", "low_slack_bps"), [(5, 2.2, 0.05, 0.5e6), (20, 1.5, 0.10, 1.5e6)]
)
def test_the_packets_follow_a_square_wave(
    a_wire: Wire, hz: float, length_s: float, high_share: float, low_slack_bps: float
) -> None:
    changes, arrived_ns = follow(a_wire, stairs(0.5 / hz, [HIGH_BPS, LOW_BPS]), length_s)
    high, low = (rates_bps(changes, arrived_ns, rate_bps) for rate_bps in (HIGH_BPS, LOW_BPS))
    assert np.median(high) == pytest.approx(HIGH_BPS, rel=high_share)
    assert np.median(low) == pytest.approx(LOW_BPS, abs=low_slack_bps)
    # What is told to have taken effect has, though a packet of the low rate takes 11.5 ms.
    assert np.median(show_s(changes, arrived_ns)) < 3e-3
    assert np.median([change.late_s for change in changes]) < 5e-3


def test_a_hundred_changes_a_second_leave_neither_gap_nor_spike(a_wire: Wire) -> None:
    # Three rates: where a kernel's clock ticks as often as they change, two at once must not always be the same two.
    high_bps, low_bps, mean_bps = 10e6, 8e6, 9e6
    changes, arrived_ns = follow(a_wire, stairs(0.01, [high_bps, low_bps, mean_bps]), 2.1)
    assert len(changes) >= 195
    inside = arrived_ns[(arrived_ns > changes[0].applied.time_ns) & (arrived_ns < changes[-1].applied.time_ns)]
    gaps_s = np.diff(inside) * 1e-9
    assert np.percentile(gaps_s, 99) < 4 * FRAME_BITS / low_bps
    window = 40  # packets, about 50 ms
    spans_s = (inside[window:] - inside[:-window]) * 1e-9
    assert np.percentile(window * FRAME_BITS / spans_s, 99) < 1.15 * high_bps
    assert window * FRAME_BITS / np.median(spans_s) == pytest.approx(mean_bps, rel=0.1)
