"""The netem link on a real kernel: what it does to packets, measured."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import inf, sqrt
from statistics import fmean
from typing import Any

import pytest

from testbed.agent.shaping.filters import Address
from testbed.network.conditions import BurstLoss, Condition
from testbed.network.netem import NetemLink
from tests.testbed.network.kernel.wires import (
    FAR_ADDRESSES,
    NEAR,
    OTHER_PORT,
    PORT,
    Wire,
    arrivals,
    one_way_s,
    rate_bps,
    run,
)

ENDPOINT = [Address(host, PORT) for host in FAR_ADDRESSES.values()]
FREE = Condition(None, inf, inf, 0.0, 0.0, 0.0)
SIGMAS = 4.9
"""one in a million for a normal variable"""


@pytest.fixture(scope="module")
def one_link(a_wire: Wire) -> Iterator[NetemLink]:
    """As on the board itself: the endpoint is on the far side of the wire."""
    with NetemLink.on_this_host(NEAR, {"cloud": ENDPOINT}, side="board", owner="the tests") as made:
        yield made


@pytest.fixture
def shaped(one_link: NetemLink) -> Iterator[NetemLink]:
    """A link to "cloud" with nothing imposed yet."""
    yield one_link
    one_link.restore()


def with_delay(delay_s: float) -> Condition:
    return Condition(None, inf, inf, delay_s, 0.0, 0.0)


def with_rates(up_bps: float, down_bps: float) -> Condition:
    return Condition(None, up_bps, down_bps, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("family", "delays_s"), [(4, (0.001, 0.003, 0.01, 0.03, 0.1)), (6, (0.01,))])
def test_each_way_takes_as_long_as_asked(
    a_wire: Wire, shaped: NetemLink, family: int, delays_s: tuple[float, ...]
) -> None:
    near, far = a_wire.sockets(family=family)
    with near, far:
        for delay_s in delays_s:
            shaped.apply(with_delay(delay_s), "cloud")
            for ends in ((near, far), (far, near)):
                taken_s = one_way_s(*ends, count=16 if delay_s < 0.05 else 6)
                quick_s = taken_s[len(taken_s) // 4]
                assert delay_s <= quick_s <= delay_s + 1.5e-3


@pytest.mark.parametrize(
    ("family", "rates_bps"), [(4, (0.5e6, 5e6)), (4, (2e6, 20e6)), (4, (11e6, 50e6)), (6, (1e6, 10e6))]
)
def test_each_way_is_as_fast_as_asked(
    a_wire: Wire, shaped: NetemLink, rates_bps: tuple[float, float], family: int
) -> None:
    near, far = a_wire.sockets(family=family)
    with near, far:
        for up_bps, down_bps in (rates_bps, rates_bps[::-1]):
            shaped.apply(with_rates(up_bps, down_bps), "cloud")
            for ends, asked_bps in (((near, far), up_bps), ((far, near), down_bps)):
                assert rate_bps(*ends, family, asked_bps) == pytest.approx(asked_bps, rel=0.05)


@pytest.mark.parametrize("loss", [0.01, 0.1, 0.3])
def test_as_many_packets_are_lost_each_way_as_asked(a_wire: Wire, shaped: NetemLink, loss: float) -> None:
    near, far = a_wire.sockets()
    count = 1000
    with near, far:
        shaped.apply(Condition(None, inf, inf, 0.0, 0.0, loss), "cloud")
        for ends in ((near, far), (far, near)):
            lost = count - sum(arrivals(*ends, count))
            assert abs(lost - count * loss) <= SIGMAS * sqrt(count * loss * (1 - loss))


def test_losses_in_bursts_are_told_from_random_ones(a_wire: Wire, shaped: NetemLink) -> None:
    near, far = a_wire.sockets()
    burst = BurstLoss(to_bad=0.04, to_good=0.2)
    with near, far:
        shaped.apply(Condition(None, inf, inf, 0.0, 0.0, 0.0, burst=burst), "cloud")
        in_bursts = arrivals(near, far, 2000)
        shaped.apply(Condition(None, inf, inf, 0.0, 0.0, burst.mean), "cloud")
        at_random = arrivals(near, far, 2000)
    assert 1 - fmean(in_bursts) == pytest.approx(burst.mean, rel=0.3)
    assert lost_after_loss(in_bursts) == pytest.approx(1 - burst.to_good, abs=0.1)
    assert lost_after_loss(at_random) == pytest.approx(burst.mean, abs=0.1)


def lost_after_loss(arrived: list[bool]) -> float:
    """Share of the packets behind a lost one that are lost themselves."""
    behind = [not now for before, now in pairwise(arrived) if not before]
    return fmean(behind)


def test_jitter_spreads_delays_around_their_mean_and_keeps_the_order(a_wire: Wire, shaped: NetemLink) -> None:
    near, far = a_wire.sockets()
    with near, far:
        shaped.apply(Condition(None, inf, inf, 0.03, 0.008, 0.0), "cloud")
        taken_s = one_way_s(near, far, 60)
        for number in range(50):
            near.send(bytes([number]))
        assert [far.recv(1)[0] for _ in range(50)] == list(range(50)), "packets must not overtake each other"
    assert taken_s[30] == pytest.approx(0.03, abs=5 * 0.008 / sqrt(60) + 1.5e-3)
    # Of a normal distribution half lies within 0.674 standard deviations.
    assert taken_s[45] - taken_s[15] == pytest.approx(2 * 0.674 * 0.008, rel=0.5)


def test_an_outage_lets_nothing_through_and_ends(a_wire: Wire, shaped: NetemLink) -> None:
    near, far = a_wire.sockets()
    with near, far:
        shaped.apply(with_rates(0.0, inf), "cloud")
        assert not any(arrivals(near, far, 60))
        assert all(arrivals(far, near, 60))
        shaped.apply(FREE, "cloud")
        assert all(arrivals(near, far, 60))


def test_what_is_corrupt_or_doubled_arrives_as_such(a_wire: Wire, shaped: NetemLink) -> None:
    near, far = a_wire.sockets()
    with near, far:
        shaped.apply(Condition(None, inf, inf, 0.0, 0.0, 0.0, duplicate=1.0), "cloud")
        near.send(b"twice")
        assert [far.recv(100), far.recv(100)] == [b"twice", b"twice"]
        shaped.apply(Condition(None, inf, inf, 0.0, 0.0, 0.0, corrupt=1.0), "cloud")
        # A bit flipped in the payload makes the checksum wrong; one in Ethernet's header may go unnoticed.
        assert sum(arrivals(near, far, 200)) < 60


def test_a_change_leaves_nothing_of_the_last_condition_behind(a_wire: Wire, shaped: NetemLink) -> None:
    near, far = a_wire.sockets()
    everything = Condition(
        None, 1e6, 1e6, 0.05, 0.01, 0.3, reorder=0.5, duplicate=0.5, corrupt=0.5, delay_correlation=0.5
    )
    with near, far:
        shaped.apply(everything, "cloud")
        shaped.apply(FREE, "cloud")
        assert all(arrivals(near, far, 500))
        assert one_way_s(near, far, 20)[5] < 1.5e-3


def test_tc_sees_what_was_asked(a_wire: Wire, shaped: NetemLink) -> None:
    """iproute2 reads the kernel by a decoder of its own."""
    burst = BurstLoss(0.01, 0.25, 0.9, 0.002)
    asked = Condition(
        None,
        3e6,
        7e6,
        0.025,
        0.004,
        0.0,
        burst=burst,
        delay_correlation=0.25,
        reorder=0.05,
        duplicate=0.02,
        corrupt=0.03,
    )
    shaped.apply(asked, "cloud")
    tbf, netem = queues_up()
    assert tbf["options"]["rate"] == 3e6 / 8
    told = netem["options"]
    assert told["delay"]["delay"] == pytest.approx(0.025)
    assert told["delay"]["jitter"] == pytest.approx(0.004)
    assert told["delay"]["correlation"] == pytest.approx(0.25)
    assert told["reorder"]["reorder"] == pytest.approx(0.05)
    assert told["duplicate"]["duplicate"] == pytest.approx(0.02)
    assert told["corrupt"]["corrupt"] == pytest.approx(0.03)
    assert told["loss-gemodel"] == pytest.approx({"p": 0.01, "r": 0.25, "1-h": 0.9, "1-k": 0.002})


def test_the_operators_session_is_never_shaped(a_wire: Wire, shaped: NetemLink) -> None:
    ssh = a_wire.sockets(port=OTHER_PORT)
    inference = a_wire.sockets()
    shaped.apply(Condition(None, 1e6, 1e6, 0.1, 0.0, 0.0), "cloud")
    assert one_way_s(*inference, 3)[0] > 0.1
    for ends in (ssh, ssh[::-1]):
        assert one_way_s(*ends, 20)[5] < 1.5e-3
        assert all(arrivals(*ends, 100))
    for end in (*ssh, *inference):
        end.close()


def test_tcp_loses_packets_and_not_the_bundles_its_offload_makes_of_them(a_wire: Wire, shaped: NetemLink) -> None:
    """A stream sent in one go is cut before it meets the loss, or a lost bundle would be 40 packets."""
    content = bytes(300_000)
    server = a_wire.far.call(socket.create_server, (FAR_ADDRESSES[4], PORT))
    shaped.apply(with_rates(20e6, 20e6), "cloud")
    with server, socket.create_connection((FAR_ADDRESSES[4], PORT)) as client:
        connection, _ = server.accept()
        with connection, ThreadPoolExecutor(1) as sender:
            sender.submit(client.sendall, content)
            received = 0
            while received < len(content):
                received += len(connection.recv(65536))
    _, netem = queues_up()
    assert netem["packets"] >= len(content) // 1448
    assert netem["bytes"] / netem["packets"] < 1518


def queues_up() -> list[dict[str, Any]]:
    """The tbf and the netem of the way up, as tc tells them."""
    [device] = [name for name in run("ls", "/sys/class/net").split() if name.endswith("u0")]
    queues = json.loads(run("tc", "-s", "-j", "qdisc", "show", "dev", device))
    return sorted(queues, key=lambda queue: str(queue["kind"]), reverse=True)
