"""How long a server computed, as it tells with its reply: `compute;dur=12.3`, milliseconds (W3C Server Timing).

A header of HTTP, and trailing metadata of gRPC under the same name in small letters.
"""

from __future__ import annotations

import re

SERVER_TIMING = "Server-Timing"
_COMPUTE = re.compile(r"(?:^|,)\s*compute\s*;\s*dur\s*=\s*\"?(\d{1,9}(?:\.\d{1,9})?)\"?\s*(?:$|[,;])")


def timing(compute_ns: int) -> str:
    """The header's value."""
    return f"compute;dur={compute_ns * 1e-6:.6f}"


def compute_ns(value: str | None) -> int | None:
    """From the header's value; None where it does not tell."""
    found = _COMPUTE.search(value or "")
    return round(float(found[1]) * 1e6) if found else None
