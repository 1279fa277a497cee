"""What the bench says of its endpoints, made ready for the board: secrets and certificates are read here, and sent.

A token never reaches the bench as recorded, a log or the board's disk.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from testbed.agent.targets.terms import Terms
from testbed.config import Endpoint
from testbed.errors import BenchError

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}")
"""RFC 6750 section 2.1, with a bound"""


def terms(name: str, endpoint: Endpoint) -> Terms:
    """How the board is to ask the endpoint of this name. Raises BenchError for files and variables that will not do."""
    return Terms(
        token=_token(name, endpoint),
        ca_pem=None if endpoint.ca_file is None else _read(f"endpoint {name}: ca_file", endpoint.ca_file),
        compress=endpoint.compress,
        jpeg_quality=endpoint.jpeg_quality if endpoint.input == "jpeg" else None,
        retries=endpoint.retries,
        names=endpoint.models,
    )


def as_request(terms: Terms) -> dict[str, Any]:
    """Plain values for the agent's `endpoint`."""
    return {
        "token": terms.token,
        "ca_pem": terms.ca_pem,
        "compress": terms.compress,
        "jpeg_quality": terms.jpeg_quality,
        "retries": terms.retries,
        "names": dict(terms.names),
    }


def _token(name: str, endpoint: Endpoint) -> str | None:
    if endpoint.token_env is not None:
        where = f"endpoint {name}: the environment variable {endpoint.token_env}"
        return checked_token(where, os.environ.get(endpoint.token_env))
    if endpoint.token_file is not None:
        return token_in(f"endpoint {name}: token_file", endpoint.token_file)
    return None


def token_in(what: str, path: Path) -> str:
    """The token a file holds. Raises BenchError."""
    return checked_token(f"{what} {path}", _read(what, path).strip())


def checked_token(where: str, token: str | None) -> str:
    """Raises BenchError, without showing it, for what is no token."""
    if not token:
        raise BenchError(f"{where} is empty or not there: put the server's token in it")
    if _TOKEN.fullmatch(token) is None:
        raise BenchError(f"{where} holds no token: letters, digits and . _ ~ + / = - on one line")
    return token


def _read(what: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{what} {path} cannot be read: {error}") from None
