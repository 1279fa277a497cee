"""A bench with a netem link on a real kernel, looked over: the agent shapes the board's own interface."""

from __future__ import annotations

import http.server
import os
import signal
import threading
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from testbed.config import Bench, load_bench
from testbed.doctor import examine
from testbed.lifeline import Lifeline
from testbed.network.conditions import Condition
from testbed.opening import open_bench
from testbed.remote import BoardLost
from tests.testbed.network.kernel.wires import FAR_ADDRESSES, NEAR, PORT, Wire, kernel_state, one_way_s


class Ready(http.server.BaseHTTPRequestHandler):
    """Answers every question with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def server(a_wire: Wire) -> Iterator[None]:
    served = a_wire.far.call(http.server.HTTPServer, (FAR_ADDRESSES[4], PORT), Ready)
    thread = threading.Thread(target=served.serve_forever, args=(0.05,))
    thread.start()
    yield
    served.shutdown()
    thread.join()
    served.server_close()


def bench(tmp_path: Path) -> Bench:
    path = tmp_path / "bench.yaml"
    path.write_text(f"""
name: wired
board: {{kind: linux, supply_voltage_v: 12 V}}
link: {{kind: netem, interface: {NEAR}, at: board}}
endpoints:
  cloud: {{url: "http://{FAR_ADDRESSES[4]}:{PORT}"}}
""")
    return load_bench(path)


def test_an_agent_that_comes_after_one_that_was_killed_has_charge_of_the_interface(
    a_wire: Wire, tmp_path: Path
) -> None:
    before = kernel_state()
    near, far = a_wire.sockets()
    described = bench(tmp_path)
    with near, far, open_bench(described, seed=0) as opened:
        assert opened.link is not None
        opened.link.apply(Condition(None, inf, inf, 0.02, 0.0, 0.0), "cloud")
        os.kill(opened.agent.hello["process"][0], signal.SIGKILL)
        with pytest.raises(BoardLost) as lost:
            opened.link.restore()
        Lifeline(described, opened.start_again).bring_back(lost.value)
        assert kernel_state() == before, "the guard of the one before has given it back"
        opened.link.apply(Condition(None, inf, inf, 0.01, 0.0, 0.0), "cloud")
        assert one_way_s(near, far, 20)[5] == pytest.approx(0.01, abs=1.5e-3)
    assert kernel_state() == before


@pytest.mark.usefixtures("server")
def test_the_doctor_tries_the_link_and_leaves_no_trace(a_wire: Wire, tmp_path: Path) -> None:
    before = kernel_state()
    findings = {finding.what: finding for finding in examine(bench(tmp_path))}
    assert findings["link"].verdict == "ok"
    assert findings["endpoint cloud"].verdict == "ok"
    assert kernel_state() == before
