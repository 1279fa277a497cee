"""What a change of condition costs: ours, `tc` as a subprocess, and tcconfig's `tcset`, in one run on one kernel.

A change is a new rate and a new delay both ways; `tc` makes it in one batch, `tcset` one way only. Where this kernel
has no netem all three run inside User-Mode Linux, where a subprocess costs ten times what it does elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.figure import Figure
from testbed.agent.shaping.filters import Address
from testbed.network.conditions import Condition
from testbed.network.netem import NetemLink
from tests.testbed.network import elsewhere, uml

OURS, TC, TCSET = 400, 40, 6
"""how often each makes a change; the first is left out"""
_WIRE, _FAR = "bench0", "bench1"
_RATES_BPS = (1e6, 5e6)
_PATH = {"cloud": [Address("198.18.0.2", 8000)]}
_TIMEOUT_S = 180.0


def figures() -> list[Figure]:
    """Times of a change, and how many times ours goes into the others'."""
    if reason := elsewhere.why_nowhere():
        return [Figure("link change", None, "us", "tc, tcset", None, None, f"not measured: {reason}")]
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        out = Path(folder)
        native = elsewhere.this_kernel_can()
        command = [sys.executable, "-m", "bench.link_changes"]
        if native:
            subprocess.run([*uml.undisturbed(), "unshare", "--net", *command, str(out / "times")], check=True)
        elif status := uml.in_uml([*command, str(uml.OUT / "times")], out, timeout_s=_TIMEOUT_S):
            raise SystemExit(f"the measurement ended with status {status}:\n{(out / 'log').read_text()}")
        times_us = {name: np.array(found[1:]) for name, found in json.loads((out / "times").read_text()).items()}
    where = "this kernel" if native else "User-Mode Linux"
    ours, tc, tcset = (float(np.median(times_us[name])) for name in ("ours", "tc", "tcset"))
    how = f"median of {OURS - 1} changes of rate and delay both ways, {where}"
    return [
        Figure("link change", ours, "us", f"tc batch {tc:.0f} us, tcset {tcset:.0f} us", None, None, how),
        Figure("link change, 99 %", float(np.percentile(times_us["ours"], 99)), "us", None, None, None, how),
        Figure("link change: tc takes", tc / ours, "times", f"{TC - 1} changes", ">= 4", tc >= 4 * ours, how),
        Figure("link change: tcset takes", tcset / ours, "times", "one way", ">= 200", tcset >= 200 * ours, how),
    ]


def _measure() -> dict[str, list[float]]:
    """Microseconds of each change."""
    subprocess.run(["ip", "link", "add", _WIRE, "type", "veth", "peer", "name", _FAR], check=True)
    conditions = [Condition(None, rate, rate, 0.01 * rate / 1e6, 0.0, 0.01) for rate in _RATES_BPS]
    with NetemLink.on_this_host(_WIRE, _PATH, owner="the benchmark") as link:
        ours = _times(lambda i: link.apply(conditions[i % 2], "cloud"), OURS)
        devices = [path.name for path in Path("/sys/class/net").iterdir() if path.name[-2:] in ("u0", "d0")]
        tc = _times(lambda i: _tc(devices, conditions[i % 2]), TC)
    tcset = str(Path(sys.executable).with_name("tcset"))
    subprocess.run([tcset, _FAR, *_tcset(conditions[0])], check=True, capture_output=True)
    third = _times(
        lambda i: subprocess.run(
            [tcset, _FAR, "--overwrite", *_tcset(conditions[i % 2])], check=True, capture_output=True
        ),
        TCSET,
    )
    return {"ours": ours, "tc": tc, "tcset": third}


def _times(change: Callable[[int], object], count: int) -> list[float]:
    taken = []
    for i in range(count):
        start_ns = time.perf_counter_ns()
        change(i)
        taken.append((time.perf_counter_ns() - start_ns) * 1e-3)
    return taken


def _tc(devices: list[str], condition: Condition) -> None:
    lines = []
    for device in devices:
        rate, delay_ms = round(condition.rate_up_bps), condition.delay_s * 1e3
        lines += [
            f"qdisc change dev {device} root handle 1: tbf rate {rate}bit burst 2kb limit 100kb",
            f"qdisc change dev {device} parent 1:1 handle 10: netem limit 100 delay {delay_ms}ms loss 1%",
        ]
    subprocess.run(["tc", "-batch", "-"], input="\n".join(lines), text=True, check=True, capture_output=True)


def _tcset(condition: Condition) -> list[str]:
    return ["--rate", f"{condition.rate_up_bps / 1e6:g}Mbps", "--delay", f"{condition.delay_s * 1e3:g}ms"]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(_measure()))
