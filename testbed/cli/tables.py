"""Tables on the screen."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from testbed.doctor import Finding

_STYLE = {"ok": "green", "doubtful": "yellow", "wrong": "red"}


def show_findings(console: Console, findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as it comes; returns them all."""
    shown = []
    for finding in findings:
        console.print(f"[{_STYLE[finding.verdict]}]{finding.verdict:>8}[/]  {finding.what}: ", end="")
        console.print(finding.detail, markup=False, soft_wrap=True)
        shown.append(finding)
    return shown
