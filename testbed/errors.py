"""What can go wrong at the bench, split by who mends it."""

from __future__ import annotations


class TestbedError(Exception):
    """One clear message: what happened, on which device, what to do about it."""

    __test__ = False


class BenchError(TestbedError):
    """Configuration, cabling or permissions: the person mends it."""


class TransientError(TestbedError):
    """May pass by itself: retried with a bound, and recorded."""
