"""A bench whose link cannot be: what the doctor and a run say of it, on any kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.config import load_bench
from testbed.doctor import examine
from testbed.errors import BenchError
from testbed.opening import open_bench
from tests.testbed.network import elsewhere

NETEM = """
name: wired
board: {kind: linux, supply_voltage_v: 12 V}
link: {kind: netem, interface: eth77, at: board}
endpoints: {cloud: {url: "http://192.0.2.1:8000", timeout_s: 1 ms}}
"""
VIRTUAL = """
name: wired
board: {kind: virtual, profile: raspberry-pi-5, supply_voltage_v: 5.1 V}
link: {kind: virtual, by: netem}
endpoints: {cloud: {serve: virtual-gpu}}
"""


def test_the_doctor_says_why_there_can_be_no_link(tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").write_text(NETEM)
    findings = {finding.what: finding for finding in examine(load_bench(tmp_path / "bench.yaml"))}
    assert findings["bench"].verdict == "wrong"
    assert "on the board: there is no network interface 'eth77'" in findings["bench"].detail


@pytest.mark.skipif(elsewhere.this_kernel_can(), reason="this kernel has netem, and this process the right")
def test_a_kernel_that_cannot_shape_a_virtual_link_is_refused_or_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(VIRTUAL)
    with pytest.raises(BenchError, match=r"\(link\.by: netem\), and cannot: .+; run as root where"):
        open_bench(load_bench(path), seed=0).__enter__()
    path.write_text(VIRTUAL.replace("by: netem", "by: auto"))
    with open_bench(load_bench(path), seed=0) as opened:
        assert opened.bench.link is not None
        assert opened.link is not None
        assert opened.bench.link.model_dump()["by"] == "model"
        (label,) = opened.link.labels
        assert label.startswith("the way to the endpoints is shaped by the model of the virtual radio: ")
