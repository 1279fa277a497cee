"""How to put things back: steps as data, each a verb and what it acts on. A step already done is no failure."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence

from testbed.agent.shaping.devices import clsact_request, remove_device
from testbed.agent.shaping.netlink import DELQDISC, KernelRefusal, Rtnetlink

Step = Mapping[str, str]

_GONE = (errno.ENODEV, errno.EINVAL, errno.ENOENT)
"""no such device; no such queue, by the two names kernels have for that"""


def delete_device(name: str) -> Step:
    """The step that deletes a virtual network device, with all that is queued in it."""
    return {"do": "delete-device", "name": name}


def delete_filters(interface: str) -> Step:
    """The step that takes an interface's clsact away, with every filter in it."""
    return {"do": "delete-filters", "name": interface}


def undo(steps: Sequence[Step]) -> list[str]:
    """Carry out every step; returns what went wrong."""
    troubles = []
    for step in steps:
        try:
            _VERBS[step["do"]](step["name"])
        except KeyError as error:
            troubles.append(f"no such step: {dict(step)} ({error})")
        except OSError as error:
            if error.errno not in _GONE:
                troubles.append(f"{error.strerror}")
    return troubles


def _delete_device(name: str) -> None:
    with Rtnetlink() as kernel:
        remove_device(kernel, name)


def _delete_filters(name: str) -> None:
    with Rtnetlink() as kernel:
        interface = kernel.interface(name)
        if interface is None:
            raise KernelRefusal(errno.ENODEV, f"there is no interface {name}")
        kernel.ask([clsact_request(DELQDISC, interface)])


_VERBS: Mapping[str, Callable[[str], None]] = {
    "delete-device": _delete_device,
    "delete-filters": _delete_filters,
}
