"""Who may ask, and over what: a bearer token, TLS, and no door open to the network without the first."""

from __future__ import annotations

import hmac
import ipaddress
import ssl
from pathlib import Path


def refuse_open_door(host: str, token: str | None) -> None:
    """Raises ValueError for an address beyond this machine without a token."""
    if token is None and not is_loopback(host):
        raise ValueError(
            f"listening at {host} lets the whole network in: give --token-file or --token-env, or listen at 127.0.0.1"
        )


def may_enter(token: str | None, authorization: str | None) -> bool:
    """Whether a request with this Authorization header may be answered; anyone may where there is no token."""
    if token is None:
        return True
    return hmac.compare_digest(f"Bearer {token}".encode(), (authorization or "").encode(errors="replace"))


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Raises ValueError for files that are not a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")  # a key with a password is refused, never asked about
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{certificate} and {key} are no certificate and its key in PEM: {error}") from None
    return context


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
