"""Shaping on the board's own interface, by its agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any

from testbed.agent.shaping.filters import Address
from testbed.agent.shaping.shape import Shape
from testbed.agent.shaping.survey import ShapingError
from testbed.marks import BoardClock
from testbed.remote import BoardLost, RemoteAgent, RequestFailed


class BoardShaping:
    """Implements `testbed.network.netem.Shaping`. A guard on the board watches the agent, which listens for signs of
    life from here.
    """

    def __init__(
        self,
        agent: RemoteAgent,
        clock: BoardClock,
        interface: str,
        paths: Mapping[str, Sequence[Address]],
        *,
        owner: str,
        replace: bool,
    ) -> None:
        self._agent = agent
        self._clock = clock
        self._begin: dict[str, Any] = {
            "interface": interface,
            "paths": {target: [(one.host, one.port) for one in found] for target, found in paths.items()},
            "owner": owner,
            "replace": replace,
        }
        self.netem = False
        self._living = ExitStack()

    def shape(self, target: str, up: Shape, down: Shape) -> tuple[Shape, Shape, int]:
        """Raises ShapingError where the kernel does not hold what it was told."""
        held = self._ask("shape", target=target, up=up.plain(), down=down.plain())
        time_ns = self._clock.place(held["time_ns"], held["time_ns"]).start_ns
        return Shape.of(held["up"]), Shape.of(held["down"]), time_ns

    def require_held(self) -> None:
        """Raises ShapingError where the board has given its interface back."""
        self._ask("shape_held")

    def restore(self) -> None:
        """Raises ShapingError where that fails."""
        self._ask("shape_restore")

    def begin(self) -> None:
        """Take charge of the interface; again, where the agent is another one. Raises ShapingError."""
        self.netem = self._ask("shape_begin", **self._begin)["netem"]

    def __enter__(self) -> BoardShaping:
        with ExitStack() as stack:
            stack.enter_context(self._agent.signs_of_life())
            self.begin()
            self._living = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._living, suppress(BoardLost):  # the guard on the board has given it back
            self._ask("shape_end")

    def _ask(self, method: str, **arguments: Any) -> Any:
        try:
            return self._agent.ask(method, **arguments)
        except RequestFailed as failure:
            raise ShapingError(f"on the board: {failure}") from None
