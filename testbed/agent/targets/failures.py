"""How a server fails a request."""

from __future__ import annotations


class RequestRefused(Exception):
    """The server is well but will not have the request: a model it does not serve, tensors that do not fit it.

    A mistake of the bench or the suite, not an outcome.
    """


class NoAnswer(Exception):
    """The server gave no answer that can be used."""


class Unavailable(NoAnswer):
    """Not a byte of a reply came, or a 503 that says when to come again: asking again does no harm, and may help."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        """`after_s` is when the server would be asked again; None where it did not say."""
        super().__init__(message)
        self.after_s = after_s
