"""How to put things back: steps as data, each a verb and what it acts on. A step already done is no failure."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from testbed.agent.shaping.devices import clsact_request, remove_device
from testbed.agent.shaping.netlink import DELQDISC, Rtnetlink

Step = Mapping[str, str]

_GONE = (errno.ENODEV, errno.EINVAL, errno.ENOENT)
"""no such device; no such queue, by the two names kernels have for that"""


def network_namespace() -> str:
    """Tells this process's network namespace from others: names of interfaces mean something in one only."""
    return str(Path("/proc/self/ns/net").stat().st_ino)


def delete_device(name: str) -> Step:
    """The step that deletes a virtual network device, with all that is queued in it."""
    return {"do": "delete-device", "name": name, "namespace": network_namespace()}


def delete_filters(interface: str) -> Step:
    """The step that takes an interface's clsact away, with every filter in it."""
    return {"do": "delete-filters", "name": interface, "namespace": network_namespace()}


def undo(steps: Sequence[Step]) -> list[str]:
    """Carry out every step; returns what went wrong."""
    troubles = []
    for step in steps:
        try:
            _VERBS[step["do"]](step)
        except KeyError as error:
            troubles.append(f"no such step: {dict(step)} ({error})")
        except OSError as error:
            if error.errno not in _GONE:
                troubles.append(f"{error.strerror}")
    return troubles


def _delete_device(step: Step) -> None:
    _require_namespace(step)
    with Rtnetlink() as kernel:
        remove_device(kernel, step["name"])


def _delete_filters(step: Step) -> None:
    _require_namespace(step)
    with Rtnetlink() as kernel:
        interface = kernel.interface(step["name"])
        if interface is not None:
            kernel.ask([clsact_request(DELQDISC, interface)])


def _require_namespace(step: Step) -> None:
    if step["namespace"] != network_namespace():
        raise OSError(errno.EXDEV, f"{step['name']} is in another network namespace, {step['namespace']}")


_VERBS: Mapping[str, Callable[[Step], None]] = {
    "delete-device": _delete_device,
    "delete-filters": _delete_filters,
}
