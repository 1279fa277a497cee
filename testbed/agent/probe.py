"""Active probes of the path to an endpoint: small requests for the round trip, large ones for the goodput.

They are HTTP requests to the endpoint itself, so that they take the way, the port and the queues that inferences take.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from statistics import median
from urllib.parse import urlsplit

from testbed.agent.targets.terms import Terms, tls_context

SMALL_REQUESTS, LARGE_REQUESTS = 5, 3
"""how many of each; the first large one widens TCP's window, the others are timed"""
LEAST_BYTES, MOST_BYTES = 4_000, 1_000_000
"""of a large request"""
_SMALL_PATH = "/v2/health/ready"
_LARGE_PATH = "/v2/models/probe/infer"
"""a request that any server reads whole before it refuses it"""


class ProbeFailed(Exception):
    """The endpoint gave no answer in time."""


@dataclass(frozen=True, slots=True)
class Path:
    """What the probes saw."""

    rtt_s: float
    """of a small request on an open connection, the server's own time included: the median"""
    least_rtt_s: float
    """of the fastest"""
    goodput_up_bps: float
    """of a large request's body, less the round trip: the best"""
    up_bytes: int
    """length of that body"""


def probe(url: str, timeout_s: float, up_bytes: int, terms: Terms | None = None) -> Path:
    """Probe the path to the server at `url`, http:// or https://, with large requests of about `up_bytes`.

    Raises ProbeFailed when it does not answer all of them within `timeout_s` each.
    """
    parts = urlsplit(url)
    asked = terms or Terms()
    connection = (
        HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=tls_context(asked))
        if parts.scheme == "https"
        else HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    )
    headers = {} if asked.token is None else {"Authorization": f"Bearer {asked.token}"}
    body = bytes(min(max(up_bytes, LEAST_BYTES), MOST_BYTES))
    try:
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask = partial(_exchange, connection, headers)
        small_s = [_seconds(lambda: ask("GET", _SMALL_PATH)) for _ in range(SMALL_REQUESTS)]
        large_s = [_seconds(lambda: ask("POST", _LARGE_PATH, body)) for _ in range(LARGE_REQUESTS)]
    except (OSError, HTTPException) as error:
        reason = f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
        raise ProbeFailed(f"{url}: {reason or type(error).__name__}") from None
    finally:
        connection.close()
    sending_s = max(min(large_s[1:]) - min(small_s), 1e-6)
    return Path(median(small_s), min(small_s), 8 * len(body) / sending_s, len(body))


def _exchange(
    connection: HTTPConnection, headers: dict[str, str], method: str, path: str, body: bytes | None = None
) -> None:
    connection.request(method, path, body, {**headers, "Content-Type": "application/json"} if body else headers)
    connection.getresponse().read()


def _seconds(act: Callable[[], None]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun
