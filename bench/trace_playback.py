"""Playing a trace onto a real kernel: how many changes a second, how late each is, how well the packets follow.

Where this kernel has no netem it is measured inside User-Mode Linux.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.figure import Figure
from tests.testbed.network import elsewhere, uml
from tests.testbed.network.kernel.playback import follow, rates_bps, stairs
from tests.testbed.network.kernel.wires import wire

HIGH_BPS, LOW_BPS = 20e6, 1e6
STAIRS_BPS = (1e6, 2e6, 5e6, 10e6, 20e6, 10e6, 5e6, 2e6)
_TIMEOUT_S = 180.0


def figures() -> list[Figure]:
    """Of square waves and of stairs."""
    if reason := elsewhere.why_nowhere():
        return [Figure("trace playback", None, "changes/s", None, None, None, f"not measured: {reason}")]
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        out = Path(folder)
        native = elsewhere.this_kernel_can()
        command = [sys.executable, "-m", "bench.trace_playback"]
        if native:
            subprocess.run([*uml.undisturbed(), "unshare", "--net", *command, str(out / "found")], check=True)
        elif status := uml.in_uml([*command, str(uml.OUT / "found")], out, timeout_s=_TIMEOUT_S):
            raise SystemExit(f"the measurement ended with status {status}:\n{(out / 'log').read_text()}")
        found = json.loads((out / "found").read_text())
    where = "this kernel" if native else "User-Mode Linux"
    late_ms, stairs_off = np.array(found["late_s"]) * 1e3, found["stairs_off"]
    how = f"under load, {where}; lateness from when a change was due until the kernel had taken it"
    judged = f"packets at the far end of a wire that is always full, {where}; median of the halves"
    rows = [
        Figure(
            "trace playback",
            found["changes_per_s"],
            "changes/s",
            None,
            ">= 100",
            found["changes_per_s"] >= 100,
            f"made of 1,000 a second asked for, {where}",
        ),
        Figure("trace playback: late", float(np.median(late_ms)), "ms", None, None, None, how),
        Figure("trace playback: late, 99 %", float(np.percentile(late_ms, 99)), "ms", None, None, None, how),
        Figure("trace playback: stairs off by", 100 * stairs_off, "% of the rate", None, None, None, judged),
    ]
    for hz, share, slack_bps in ((5, 0.05, 0.5e6), (20, 0.1, 1.5e6)):
        high_bps, low_bps = found["square"][str(hz)]
        high_goal, low_goal = f"20 +- {100 * share:.0f} %", f"1 +- {slack_bps / 1e6:g}"
        high_holds, low_holds = abs(high_bps / HIGH_BPS - 1) <= share, abs(low_bps - LOW_BPS) <= slack_bps
        name = f"square wave at {hz} Hz"
        rows.append(Figure(f"{name}, high", high_bps / 1e6, "Mbit/s", None, high_goal, high_holds, judged))
        rows.append(Figure(f"{name}, low", low_bps / 1e6, "Mbit/s", None, low_goal, low_holds, judged))
    return rows


def _measure() -> dict[str, object]:
    square, late_s = {}, []
    with wire() as made:
        for hz in (5, 20):
            changes, arrived_ns = follow(made, stairs(0.5 / hz, [HIGH_BPS, LOW_BPS]), 5.0)
            square[hz] = [float(np.median(rates_bps(changes, arrived_ns, rate))) for rate in (HIGH_BPS, LOW_BPS)]
            late_s += [change.late_s for change in changes]
        changes, arrived_ns = follow(made, stairs(0.2, STAIRS_BPS), 8.0)
        off = [abs(rates_bps(changes, arrived_ns, rate) / rate - 1) for rate in sorted(set(STAIRS_BPS))]
        changes, _ = follow(made, stairs(0.001, [8e6, 10e6]), 3.0)
        span_s = (changes[-1].applied.time_ns - changes[0].applied.time_ns) * 1e-9
    return {
        "square": square,
        "late_s": late_s,
        "stairs_off": float(np.median(np.concatenate(off))),
        "changes_per_s": (len(changes) - 1) / span_s,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(_measure()))
