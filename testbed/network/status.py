"""Which interfaces of this machine are shaped, by whom, and what the kernel holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.agent.guard.lease import FOLDER, held
from testbed.agent.shaping.netlink import Rtnetlink
from testbed.agent.shaping.queues import read_shape
from testbed.agent.shaping.shape import Shape
from testbed.network.conditions import Condition
from testbed.network.shapes import observed

_THING = re.compile(r"link-(?P<namespace>\d+)-(?P<interface>.+)")
_UNTOLD = Shape(0.0, 0.0, 0.0, 0.0, 1, "normal", 0.0, None, 0.0, 0.0, 0.0)
"""stands for what a kernel does not tell"""


@dataclass(frozen=True, slots=True)
class Shaped:
    """One interface."""

    interface: str
    owner: str
    pid: int
    alive: bool
    """whether its holder, or the guard, is; otherwise nobody will give it back but `restore`"""
    paths: tuple[Condition, ...]
    """of each endpoint, as read back"""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "interface": self.interface,
            "owner": self.owner,
            "pid": self.pid,
            "alive": self.alive,
            "paths": [path.as_json() for path in self.paths],
        }


def shaped_here(folder: Path = FOLDER) -> Iterator[Shaped]:
    """Every interface of this network namespace that has a holder, alive or not."""
    namespace = Path("/proc/self/ns/net").stat().st_ino
    for lease in held(folder):
        match = _THING.fullmatch(lease.thing)
        if match is not None and int(match["namespace"]) == namespace:
            with Rtnetlink() as kernel:
                paths = tuple(_paths(kernel, match["interface"]))
            yield Shaped(match["interface"], lease.owner, lease.pid, lease.locked, paths)


def _paths(kernel: Rtnetlink, name: str) -> Iterator[Condition]:
    indices = {interface.name: interface.index for interface in kernel.interfaces()}
    if name not in indices:
        return
    place = 0
    while (up := indices.get(f"tb{indices[name]}u{place}")) and (down := indices.get(f"tb{indices[name]}d{place}")):
        nothing = Condition(None, 0.0, 0.0, 0.0, 0.0, 0.0)
        yield observed(nothing, _shape(kernel, up), _shape(kernel, down), "read back from the kernel")
        place += 1


def _shape(kernel: Rtnetlink, index: int) -> Shape:
    queues = {qdisc.kind: qdisc.options for qdisc in kernel.qdiscs(index)}
    return read_shape(queues["tbf"], queues.get("netem"), _UNTOLD)
