"""Looks before anything is changed: may we, can the kernel, and is the interface as nature made it?"""

from __future__ import annotations

import errno
from contextlib import suppress

from testbed.agent.shaping.devices import (
    CLSACT_PARENT,
    EGRESS,
    ROOT,
    Direction,
    clsact_request,
    lead_into,
    make_device,
    netem_request,
    removal,
    remove_device,
    tbf_request,
)
from testbed.agent.shaping.filters import Address
from testbed.agent.shaping.netlink import (
    CREATE,
    NEWQDISC,
    Interface,
    KernelRefusal,
    Rtnetlink,
    TrafficControl,
)
from testbed.agent.shaping.shape import Shape

_ANYTHING = Shape(1e6, 0.001, 0.0, 0.0, 100, "normal", 0.0, None, 0.0, 0.0, 0.0)
_NOWHERE = Address("192.0.2.1", 9)
"""of the block for documentation (RFC 5737)"""
_NO_DEVICE = "tb-none"
_ABSENT = (errno.ENOENT, errno.EOPNOTSUPP)
"""how the kernel says that it has no such queue or filter, and no such device"""


class ShapingError(Exception):
    """Nothing can be shaped here; the message says what to mend."""


def find(kernel: Rtnetlink, name: str) -> Interface:
    """The interface of that name. Raises ShapingError naming those there are."""
    interfaces = kernel.interfaces()
    for interface in interfaces:
        if interface.name == name:
            return interface
    names = ", ".join(interface.name for interface in interfaces if interface.kind != "ifb")
    raise ShapingError(f"there is no network interface '{name}'; there are: {names}")


def require_right(kernel: Rtnetlink) -> None:
    """Raises ShapingError where this process may not change the network."""
    try:
        remove_device(kernel, _NO_DEVICE)
    except KernelRefusal as refusal:
        if refusal.errno in (errno.EPERM, errno.EACCES):
            raise ShapingError(
                "shaping a link needs the right CAP_NET_ADMIN: run as root (on a board: let the agent do so)"
            ) from None


def require_untouched(kernel: Rtnetlink, interface: Interface, *, replace: bool) -> None:
    """Raises ShapingError for queues or filters that somebody built by hand, unless they are to be replaced."""
    built = [qdisc for qdisc in kernel.qdiscs(interface.index) if _by_hand(qdisc)]
    if not built or replace:
        return
    found = ", ".join(f"{qdisc.kind} {qdisc.handle >> 16:x}:" for qdisc in built)
    where = built[0].kind if built[0].parent == CLSACT_PARENT else "root"
    raise ShapingError(
        f"{interface.name} carries queues or filters that somebody built by hand ({found}), and nothing was changed; "
        f"remove them (sudo tc qdisc del dev {interface.name} {where}), or have them replaced (replace: true)"
    )


def clear(kernel: Rtnetlink, interface: Interface) -> None:
    """Remove what was built by hand; the kernel's own default takes its place."""
    for qdisc in kernel.qdiscs(interface.index):
        if _by_hand(qdisc) and qdisc.parent in (CLSACT_PARENT, ROOT):
            kernel.ask([removal(interface, qdisc)])


def _by_hand(qdisc: TrafficControl) -> bool:
    """What the kernel attaches by itself has the handle 0; filters it attaches none."""
    return qdisc.handle != 0


def has_netem(kernel: Rtnetlink, device: str) -> bool:
    """Try everything on a device made for it; whether there is netem.

    Raises ShapingError for anything else that is missing, a right or a module.
    """
    what = "ifb"
    try:
        index = make_device(kernel, device, mtu=1500)
        probe = Interface(index, device, 1500, "ifb")
        what = "sch_tbf"
        kernel.ask([tbf_request(index, device, probe.mtu, _ANYTHING, CREATE)])
        what = "sch_ingress"
        kernel.ask([clsact_request(NEWQDISC, probe)])
        what = "cls_u32, or act_mirred"
        lead_into(kernel, Direction(probe, device, EGRESS, True, 1), [_NOWHERE], index)
        try:
            kernel.ask([netem_request(index, device, _ANYTHING, CREATE)])
        except KernelRefusal as refusal:
            if refusal.errno not in _ABSENT:
                raise
            return False
        return True
    except KernelRefusal as refusal:
        raise ShapingError(_explained(refusal, what)) from None
    finally:
        with suppress(KernelRefusal):
            remove_device(kernel, device)


def how_to_install(module: str) -> str:
    """The command that brings a kernel module."""
    return (
        f"try `sudo modprobe {module.partition(',')[0]}`; where the distribution keeps it apart, "
        "`sudo apt-get install linux-modules-extra-$(uname -r)`; otherwise the kernel must be built with it"
    )


def _explained(refusal: KernelRefusal, module: str) -> str:
    if refusal.errno in _ABSENT:
        return f"this kernel lacks {module}: {how_to_install(module)}"
    return f"{refusal.strerror}"
