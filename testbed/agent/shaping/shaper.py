"""Shapes what passes between the board and its endpoints on one interface, both ways, and nothing else.

For each endpoint two ifb devices, one a direction, each with a tbf and a netem under it; filters in the interface's
clsact send the endpoint's packets through them. The interface's own queue is never touched.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Literal

from testbed.agent.guard.guard import Guard, GuardLost
from testbed.agent.guard.lease import Lease, LeaseError
from testbed.agent.guard.undo import Step, delete_device, delete_filters, network_namespace, undo
from testbed.agent.shaping.devices import (
    EGRESS,
    INGRESS,
    Direction,
    clsact_request,
    lead_into,
    make_device,
    netem_request,
    read_back,
    tbf_request,
)
from testbed.agent.shaping.filters import Address
from testbed.agent.shaping.netlink import CREATE, EXCLUSIVE, NEWQDISC, KernelRefusal, Request, Rtnetlink
from testbed.agent.shaping.shape import Mismatch, Shape
from testbed.agent.shaping.survey import ShapingError, clear, find, has_netem, require_right, require_untouched
from testbed.agent.shaping.waker import Waker

Side = Literal["board", "endpoint"]
"""which end of the path the interface belongs to: the board's own, or one that looks towards the board"""
_FILTERS_A_PATH = 16
"""addresses one endpoint may have"""


class Shaper:
    """Owner of an interface's shaping. A context manager: leaving it leaves the interface as it was found."""

    def __init__(
        self,
        interface: str,
        side: Side,
        paths: Mapping[str, Sequence[Address]],
        *,
        owner: str,
        replace: bool = False,
        guard: Guard | None = None,
        live: Callable[[], bool] = lambda: True,
    ) -> None:
        """`paths` holds each endpoint's addresses, as they stand in the packets of this interface.

        `guard` is this process's own, where it has one. While `live` says no it hears nothing, and gives back what is
        shaped.
        """
        self._name = interface
        self._side: Side = side
        self._paths = paths
        self._owner = f"{owner} on {socket.gethostname()}"
        self._replace = replace
        self._guard = guard
        self._live = live
        self._indices: dict[str, tuple[int, int]] = {}
        self._rates_bps: dict[str, tuple[float, float]] = {}
        self._owned = ExitStack()
        self.netem = False
        """whether this kernel can delay and lose packets, too"""

    def __enter__(self) -> Shaper:
        """Raises ShapingError, with nothing changed, where the interface cannot be had or the kernel cannot shape."""
        with ExitStack() as owned:
            self._kernel = owned.enter_context(Rtnetlink())
            self._waker = owned.enter_context(Waker())
            self._interface = find(self._kernel, self._name)
            require_right(self._kernel)
            self._directions = {target: self._both(place, target) for place, target in enumerate(self._paths)}
            probe = f"tb{self._interface.index}p"
            lease = self._take_lease(probe)
            owned.callback(lease.close)
            try:
                require_untouched(self._kernel, self._interface, replace=self._replace)
            except ShapingError:
                lease.write({})  # or the next to come would take away what was found
                raise
            self._watched_by = self._guard or owned.enter_context(Guard())
            self._watched_by.heed(lambda: not self._indices or self._live())
            try:
                self._watched_by.watch(lease)
            except GuardLost as lost:
                raise ShapingError(str(lost)) from None
            owned.callback(self._give_back, lease)
            self.netem = has_netem(self._kernel, probe)
            if self._replace:
                clear(self._kernel, self._interface)
            self._owned = owned.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._owned.close()

    def shape(self, target: str, up: Shape, down: Shape) -> tuple[Shape, Shape, int]:
        """Put a path under a shape each way; returns what the kernel then holds, and when, on CLOCK_MONOTONIC in ns.

        Both directions change in one system call. Raises ShapingError where the guard has given the interface back, or
        the kernel reads back something else.
        """
        self.require_held()
        try:
            if target not in self._indices:
                self._make(target, up, down)
            requests = self._requests(target, up, down, flags=0)
            echoes = self._kernel.ask(requests)
            time_ns = time.monotonic_ns()
            self._wake(target, (up.rate_bps, down.rate_bps))
            each = len(requests) // 2
            one, other = self._directions[target]
            return read_back(echoes[:each], one.device, up), read_back(echoes[each:], other.device, down), time_ns
        except (KernelRefusal, Mismatch) as error:
            raise ShapingError(f"{error.strerror or error}") from None

    def require_held(self) -> None:
        """Raises ShapingError where the guard has given the interface back."""
        if not (self._watched_by.alive and all(map(self._is_there, self._indices))):
            raise ShapingError(
                f"{self._name} was given back: the guard is gone, or found this process silent for too long; "
                "what was measured since the last change may have met no shaping at all"
            )

    def _is_there(self, target: str) -> bool:
        """A guard has not ended yet when it has given the devices back."""
        try:
            indices = tuple(socket.if_nametoindex(one.device) for one in self._directions[target])
        except OSError:
            return False
        return indices == self._indices[target]

    def _wake(self, target: str, rates_bps: tuple[float, float]) -> None:
        before = self._rates_bps.get(target, rates_bps)
        self._rates_bps[target] = rates_bps
        for direction, was, now in zip(self._directions[target], before, rates_bps, strict=True):
            if now > was:
                self._waker.wake(direction.device)

    def restore(self) -> None:
        """Leave the interface as it was found; another `shape` begins anew. Raises ShapingError where that fails."""
        self._indices.clear()
        self._rates_bps.clear()
        if troubles := undo(self._steps()):
            raise ShapingError(f"{self._name} could not be given back: {'; '.join(troubles)}")

    def _give_back(self, lease: Lease) -> None:
        try:
            lease.put_back()
        except LeaseError as error:
            raise ShapingError(f"{self._name} could not be given back: {error}") from None
        self._watched_by.forget(lease)

    def _take_lease(self, probe: str) -> Lease:
        steps = [*self._steps(), delete_device(probe)]
        try:
            return Lease.take(f"link-{network_namespace()}-{self._name}", self._owner, steps)
        except LeaseError as error:
            raise ShapingError(f"the interface {self._name} {error}") from None

    def _steps(self) -> list[Step]:
        """What to undo, filters first: packets then take their old way while the devices go."""
        devices = [direction.device for both in self._directions.values() for direction in both]
        return [delete_filters(self._name), *map(delete_device, devices)]

    def _both(self, place: int, target: str) -> tuple[Direction, Direction]:
        index, preference = self._interface.index, 1 + 2 * place * _FILTERS_A_PATH
        if len(self._paths[target]) > _FILTERS_A_PATH:
            raise ShapingError(f"{target} has {len(self._paths[target])} addresses; at most {_FILTERS_A_PATH} work")
        there, back = (EGRESS, INGRESS) if self._side == "board" else (INGRESS, EGRESS)
        return (
            Direction(self._interface, f"tb{index}u{place}", there, True, preference),
            Direction(self._interface, f"tb{index}d{place}", back, False, preference + _FILTERS_A_PATH),
        )

    def _make(self, target: str, up: Shape, down: Shape) -> None:
        """Devices and their queues first, then the filters: no packet meets a half-made path."""
        both = self._directions[target]
        up_index, down_index = (make_device(self._kernel, one.device, self._interface.mtu) for one in both)
        self._indices[target] = up_index, down_index
        self._kernel.ask(self._requests(target, up, down, flags=CREATE | EXCLUSIVE))
        try:
            self._kernel.ask([clsact_request(NEWQDISC, self._interface)])
        except KernelRefusal as refusal:
            if refusal.errno != errno.EEXIST:
                raise
        for direction, index in zip(both, self._indices[target], strict=True):
            lead_into(self._kernel, direction, self._paths[target], index)

    def _requests(self, target: str, up: Shape, down: Shape, flags: int) -> list[Request]:
        requests = []
        for direction, index, shape in zip(self._directions[target], self._indices[target], (up, down), strict=True):
            requests.append(tbf_request(index, direction.device, self._interface.mtu, shape, flags))
            if self.netem:
                requests.append(netem_request(index, direction.device, shape, flags))
        return requests
