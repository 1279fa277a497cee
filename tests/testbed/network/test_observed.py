"""What the path turned out to be, against what was asked: probes of a real server, and the bounds they are held to."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.probe import LEAST_BYTES, MOST_BYTES, Path, ProbeFailed, probe
from testbed.network.conditions import Condition, Standard, condition_at
from testbed.network.observed import (
    GOODPUT_FACTOR,
    JUDGED_BPS,
    RSSI_SLACK_DB,
    RTT_SLACK_S,
    probe_bytes,
    strays,
    strays_in_signal,
)
from testbed.network.penalty import ACTIVE_W, radio_penalty_j
from testbed.serve import InferenceServer

HELD = Condition(None, 5e6, 5e6, 0.02, 0.0, 0.0)
AS_HELD = Path(rtt_s=0.041, least_rtt_s=0.0405, goodput_up_bps=4.8e6, up_bytes=60_000)


def test_a_server_is_probed_with_requests_it_reads_whole() -> None:
    with InferenceServer({}) as server:
        path = probe(server.url, timeout_s=30.0, up_bytes=200_000)
    assert path.up_bytes == 200_000
    assert 0 < path.least_rtt_s <= path.rtt_s
    assert path.goodput_up_bps > 0


@pytest.mark.parametrize(("asked", "sent"), [(1, LEAST_BYTES), (10**9, MOST_BYTES)])
def test_a_large_request_has_its_bounds(asked: int, sent: int) -> None:
    with InferenceServer({}) as server:
        assert probe(server.url, timeout_s=30.0, up_bytes=asked).up_bytes == sent


def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ProbeFailed, match="Connection refused"):
            probe(url, timeout_s=5.0, up_bytes=1)


def test_a_server_that_is_silent_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ProbeFailed, match=r"no answer within 0\.05 s"):
            probe(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05, up_bytes=1)


def test_a_path_as_asked_does_not_stray() -> None:
    assert strays(HELD, AS_HELD) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rtt_s": 0.002, "least_rtt_s": 0.001}, "round trip 2.0 ms, 30.0 to 51.0 ms asked"),
        ({"rtt_s": 0.09, "least_rtt_s": 0.08}, "round trip 80.0 ms, 30.0 to 51.0 ms asked"),
        ({"goodput_up_bps": 90e6}, "goodput 90 Mbit/s up, 5 Mbit/s asked"),
        ({"goodput_up_bps": 2e6}, "goodput 2 Mbit/s up, 5 Mbit/s asked"),
    ],
)
def test_a_path_that_strays_is_told_with_both(change: Mapping[str, float], reason: str) -> None:
    (found,) = strays(HELD, replace(AS_HELD, **change))
    assert found.startswith(reason)


def test_a_few_slow_requests_on_a_busy_machine_are_no_stray() -> None:
    assert strays(HELD, replace(AS_HELD, rtt_s=0.3)) == ()


def test_a_goodput_is_not_judged_where_it_says_nothing() -> None:
    lossy, fast = replace(HELD, loss=0.1), replace(HELD, rate_up_bps=2 * JUDGED_BPS)
    assert strays(lossy, replace(AS_HELD, goodput_up_bps=1e5)) == ()
    assert strays(fast, replace(AS_HELD, goodput_up_bps=1e5)) == ()


@given(st.floats(1e5, JUDGED_BPS), st.floats(0.0, 1.0), st.floats(1 / GOODPUT_FACTOR + 1e-9, GOODPUT_FACTOR - 1e-9))
def test_within_its_bounds_nothing_strays(rate_bps: float, delay_s: float, share: float) -> None:
    held = Condition(None, rate_bps, rate_bps, delay_s, 0.0, 0.0)
    rtt_s = 2 * delay_s + RTT_SLACK_S / 2
    assert strays(held, Path(rtt_s, rtt_s, rate_bps * share, probe_bytes(held))) == ()


@pytest.mark.parametrize(("radio_dbm", "strays_"), [(-78.0, False), (-78.0 - RSSI_SLACK_DB, False), (-58.0, True)])
def test_a_radio_at_another_signal_strays(radio_dbm: float, strays_: bool) -> None:
    assert bool(strays_in_signal(-78.0, radio_dbm)) is strays_


@pytest.mark.parametrize("standard", get_args(Standard))
def test_the_penalty_is_the_longer_airtime_at_the_radios_power(standard: Standard) -> None:
    weak, strong = condition_at(-78.0, standard), condition_at(-50.0, standard)
    longer_s = 8 * 150_000 * (1 / weak.rate_up_bps - 1 / strong.rate_up_bps)
    assert radio_penalty_j(150_000, weak, standard) == pytest.approx(longer_s * ACTIVE_W)
    assert radio_penalty_j(150_000, strong, standard) == 0.0


def test_without_a_signal_or_in_an_outage_there_is_no_penalty() -> None:
    assert radio_penalty_j(150_000, HELD, "802.11n-ht40") is None
    assert radio_penalty_j(150_000, condition_at(-95.0), "802.11n-ht40") is None
