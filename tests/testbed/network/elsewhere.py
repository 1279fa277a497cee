"""Runs tests where the kernel can shape links, and brings their reports back: here if this one can, else inside UML.

Either way in network namespaces of their own, and all that was selected in one go.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.network import uml

REPORTS = "TESTBED_KERNEL_REPORTS"
"""in the environment of the tests' own run: where its reports go"""
TIMEOUT_S = 400.0
"""a busy machine takes minutes for what an idle one does in one"""
_ASK = """
from testbed.agent.shaping.netlink import Rtnetlink
from testbed.agent.shaping.survey import has_netem
with Rtnetlink() as kernel:
    raise SystemExit(not has_netem(kernel, "tbprobe"))
"""


@cache
def this_kernel_can() -> bool:
    """Whether netem and all it takes are here, for a process as this one."""
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--net", sys.executable, "-c", _ASK], stderr=subprocess.DEVNULL).returncode == 0


def why_nowhere() -> str | None:
    """Why such tests can run neither here nor in UML; None where they can."""
    if this_kernel_can() or uml.why_not() is None:
        return None
    return f"this kernel lacks netem, or its right, and a User-Mode Linux {uml.why_not()}"


def run(tests: Sequence[str], config: pytest.Config) -> dict[str, list[Any]]:
    """Run tests by their node ids; returns the reports of each."""
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", *tests]
    with tempfile.TemporaryDirectory(prefix="testbed-kernel-") as folder:
        out = Path(folder)
        if this_kernel_can():
            command = [*uml.undisturbed(), "unshare", "--net", "env", f"{REPORTS}={out}/reports", *pytest_command]
            (out / "log").write_bytes(subprocess.run(command, capture_output=True, timeout=TIMEOUT_S).stdout)
        else:
            uml.in_uml(["env", f"{REPORTS}={uml.OUT}/reports", *pytest_command], out, timeout_s=TIMEOUT_S)
        found: dict[str, list[Any]] = {test: [] for test in tests}
        reports = out / "reports"
        for line in reports.read_text().splitlines() if reports.exists() else ():
            report = config.hook.pytest_report_from_serializable(config=config, data=json.loads(line))
            found[report.nodeid].append(report)
        if missing := [test for test, reports in found.items() if not reports]:
            pytest.fail(f"no report of {missing}:\n{(out / 'log').read_text()[-3000:]}", pytrace=False)
        return found
