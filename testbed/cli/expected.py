"""Failures that a person can mend: they end a command with their message."""

from __future__ import annotations

from power import PowerError
from results import StoreError
from scheduler.policies import PolicyError
from testbed.errors import TestbedError

EXPECTED = (TestbedError, PowerError, StoreError, PolicyError)
