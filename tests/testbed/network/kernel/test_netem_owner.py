"""Who owns an interface's shaping, and that it is always given back: on a real kernel."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest

from testbed.agent.shaping.filters import Address
from testbed.errors import BenchError
from testbed.network.conditions import Condition
from testbed.network.netem import RATE_ONLY_LABEL, NetemLink
from tests.testbed.network.kernel.programs import Program, hold, program
from tests.testbed.network.kernel.wires import (
    FAR_ADDRESSES,
    NEAR,
    Wire,
    arrivals,
    kernel_state,
    one_way_s,
    rate_bps,
    run,
    until,
)

DEVICES = Path("/sys/class/net")
WEAK = Condition(None, 1e6, 1e6, 0.02, 0.0, 0.0)


def link(owner: str = "the tests", *, replace: bool = False, **paths: list[Address]) -> NetemLink:
    """As on the board itself: the endpoint is on the far side of the wire."""
    paths = paths or {"cloud": [Address(FAR_ADDRESSES[4], 8000)]}
    return NetemLink.on_this_host(NEAR, paths, side="board", owner=owner, replace=replace)


def with_rates(up_bps: float, down_bps: float) -> Condition:
    return Condition(None, up_bps, down_bps, 0.0, 0.0, 0.0)


def with_delay(delay_s: float) -> Condition:
    return Condition(None, inf, inf, delay_s, 0.0, 0.0)


@contextmanager
def holder() -> Iterator[Program]:
    """A process of its own that shapes until its input ends."""
    with program(hold) as holding:
        assert holding.stdout.readline() == "shaped\n"
        yield holding


def test_two_endpoints_on_one_interface_have_conditions_of_their_own(a_wire: Wire) -> None:
    cloud, edge = a_wire.sockets(port=8000), a_wire.sockets(port=8001)
    paths = {name: [Address(FAR_ADDRESSES[4], port)] for name, port in (("cloud", 8000), ("edge", 8001))}
    with link(**paths) as shaped:
        shaped.apply(with_delay(0.03), "cloud")
        assert one_way_s(*edge, 20)[5] < 1.5e-3
        shaped.apply(with_delay(0.01), "edge")
        shaped.apply(with_delay(0.02), "cloud")
        assert one_way_s(*edge, 20)[5] == pytest.approx(0.01, abs=1.5e-3)
        assert one_way_s(*cloud, 20)[5] == pytest.approx(0.02, abs=1.5e-3)
    for end in (*cloud, *edge):
        end.close()


def test_seen_from_the_endpoint_the_ways_are_the_same(a_wire: Wire) -> None:
    """The near side now is the endpoint, at its own address; the board is beyond the wire."""
    near, far = a_wire.sockets()
    ours = Address(*near.getsockname())
    with near, far, NetemLink.on_this_host(NEAR, {"cloud": [ours]}, owner="the tests") as shaped:
        shaped.apply(with_rates(1e6, 8e6), "cloud")
        assert rate_bps(far, near, 4, 1e6) == pytest.approx(1e6, rel=0.05)
        assert rate_bps(near, far, 4, 8e6) == pytest.approx(8e6, rel=0.05)


@pytest.mark.parametrize("way", ["end", "SIGTERM", "SIGKILL", "SIGSTOP"])
def test_the_interface_is_given_back_however_the_controller_goes(a_wire: Wire, way: str) -> None:
    before, devices = kernel_state(), set(DEVICES.iterdir())
    with holder() as holding:
        assert set(DEVICES.iterdir()) != devices
        if way == "end":
            holding.end_input()
        else:
            holding.send_signal(getattr(signal, way))
        taken_s = until(lambda: set(DEVICES.iterdir()) == devices and kernel_state() == before)
    assert taken_s < 3.0


def test_a_controller_whose_guard_is_gone_is_told(a_wire: Wire) -> None:
    before = kernel_state()
    with link() as shaped:
        shaped.apply(WEAK, "cloud")
        kill_the_guard()
        with pytest.raises(BenchError, match="was given back: the guard is gone"):
            until_raised(lambda: shaped.apply(WEAK, "cloud"))
    assert kernel_state() == before


@pytest.mark.parametrize("who", ["the next", "a sweep"])
def test_what_controller_and_guard_both_left_is_cleaned_up(a_wire: Wire, who: str) -> None:
    before = kernel_state()
    with holder() as holding:
        kill_the_guard()
        holding.process.kill()
        holding.process.join()
        assert kernel_state() != before
        if who == "a sweep":
            swept = run(sys.executable, "-m", "testbed.agent.guard", "sweep")
            assert "put back what bench 'first' on " in swept
            assert kernel_state() == before
        else:
            with link():
                assert kernel_state() == before


def kill_the_guard() -> None:
    run("pkill", "-KILL", "-f", "testbed.agent.guard watch")


def until_raised(act: Callable[[], object]) -> None:
    while True:
        act()


def test_a_second_controller_is_refused_with_the_firsts_name(a_wire: Wire) -> None:
    with holder() as holding:
        shaped = kernel_state()
        with pytest.raises(BenchError, match=rf"{NEAR} is in use by bench 'first' on .* \(process {holding.pid}\)"):
            link().__enter__()
        assert kernel_state() == shaped


def test_what_somebody_built_by_hand_is_refused_unless_it_may_be_replaced(a_wire: Wire) -> None:
    before = kernel_state()
    root = ("root", "handle", "5:", "tbf", "rate", "1mbit", "burst", "5kb", "latency", "50ms")
    for built in (("ingress",), ("clsact",), root):
        run("tc", "qdisc", "add", "dev", NEAR, *built)
        by_hand = kernel_state()
        for _ in ("once", "again"):
            with pytest.raises(BenchError, match="somebody built by hand.*nothing was changed.*replace: true"):
                link().__enter__()
            assert kernel_state() == by_hand
        if built == ("ingress",):  # it and clsact take the same place
            run("tc", "qdisc", "del", "dev", NEAR, *built)
    with link(replace=True) as shaped:
        shaped.apply(WEAK, "cloud")
    assert kernel_state() == before


def test_an_interface_that_is_not_there_is_named(a_wire: Wire) -> None:
    with pytest.raises(BenchError, match=rf"no network interface 'eth7'; there are: .*{NEAR}"):
        NetemLink.on_this_host("eth7", {"cloud": []}).__enter__()


def test_without_the_right_it_says_which(a_wire: Wire) -> None:
    before = kernel_state()
    shape = f'from testbed.network.netem import NetemLink; NetemLink.on_this_host("{NEAR}", {{}}).__enter__()'
    command = ["setpriv", "--bounding-set", "-net_admin", sys.executable, "-c", shape]
    refused = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert "BenchError: the link: shaping a link needs the right CAP_NET_ADMIN" in refused.stderr
    assert kernel_state() == before


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """A kernel that lacks a module."""
    found = subprocess.run(["modinfo", "-n", module], capture_output=True, text=True).stdout.strip()
    if not found.startswith("/"):
        pytest.skip(f"{module} is no module of this kernel but built in")
    run("modprobe", "-r", module)
    run("mount", "--bind", "/dev/null", found)
    try:
        yield
    finally:
        run("umount", found)


def test_without_netem_the_rate_alone_is_offered_and_said_so(a_wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    near, far = a_wire.sockets()
    with near, far, hidden("sch_netem"), link() as shaped:
        assert "modprobe sch_netem" in caplog.text
        assert shaped.labels[-1] == RATE_ONLY_LABEL
        applied = shaped.apply(Condition(None, 2e6, 0.0, 0.1, 0.0, 0.0), "cloud")
        assert applied.observed.delay_s == 0
        assert rate_bps(near, far, 4, 2e6) == pytest.approx(2e6, rel=0.05)
        assert not any(arrivals(far, near, 50))


def test_a_missing_module_is_named_with_the_command_that_brings_it(a_wire: Wire) -> None:
    before = kernel_state()
    with hidden("act_mirred"), pytest.raises(BenchError, match="lacks cls_u32, or act_mirred: try `sudo modprobe"):
        link().__enter__()
    assert kernel_state() == before
