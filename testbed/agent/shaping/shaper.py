"""Shapes what passes between the board and its endpoints on one interface, both ways, and nothing else.

For each endpoint two ifb devices, one a direction, each with a tbf and a netem under it; filters in the interface's
clsact send the endpoint's packets through them. The interface's own queue is never touched.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType

from testbed.agent.guard.guard import Guard, GuardLost
from testbed.agent.guard.lease import Lease, LeaseError
from testbed.agent.guard.undo import CLSACT_HANDLE, CLSACT_PARENT, delete_device, delete_filters, undo
from testbed.agent.shaping.devices import (
    Direction,
    Kernel,
    ShapingError,
    probe,
    refuse_or_replace,
)
from testbed.agent.shaping.filters import Address
from testbed.agent.shaping.netlink import KernelRefusal
from testbed.agent.shaping.shape import Mismatch, Shape

_log = logging.getLogger(__name__)
