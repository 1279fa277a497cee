"""How a board asks a server: what the bench says of an endpoint beside its address."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Compression = Literal["gzip", "deflate"]

PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443, "grpc": 8001, "grpcs": 8001})
"""scheme of a server's url -> the port where the url names none"""


@dataclass(frozen=True, slots=True)
class Terms:
    """The defaults ask an open server, for tensors as they are, once."""

    token: str | None = field(default=None, repr=False)
    """sent as a bearer token"""
    ca_pem: str | None = field(default=None, repr=False)
    """certificates that may vouch for the server; None: those of the board's system"""
    compress: Compression | None = None
    """of requests, and asked for in replies"""
    jpeg_quality: int | None = None
    """1 to 95: images go as JPEG of this quality; None: as tensors"""
    retries: int = 0
    """how often a request is sent again that got no byte of a reply, within its time"""
    names: Mapping[str, str] = field(default_factory=dict)
    """what the server calls models, by `served_name`; one that is not here has that name"""


def served_name(model: str, precision: str) -> str:
    """The name under which a server offers a model at a precision: "mobilenet-v2" in "int8" is "mobilenet-v2-int8"."""
    return f"{model}-{precision}"


def tls_context(terms: Terms) -> ssl.SSLContext:
    """Requires the server's certificate to be vouched for and to name its host. Raises ValueError for no certificates.

    The system's certificates are left out where the terms bring their own.
    """
    try:
        return ssl.create_default_context(cadata=terms.ca_pem)
    except ssl.SSLError as error:
        raise ValueError(f"the endpoint's CA file holds no certificates that can be read: {error}") from None
