"""The agent's loop: one request, one reply, until the controller goes; then the board is given back."""

from __future__ import annotations

import importlib
import logging
import platform
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import numpy as np

from testbed.agent import predecessor
from testbed.agent.agent import Agent
from testbed.agent.life import SignsOfLife
from testbed.agent.store import ModelStore, default_folder

_log = logging.getLogger(__name__)
_TOLD = "testbed.agent.targets"
"""the logger whose lines are for the person at the controller: what takes long when a target loads"""


class Channel(Protocol):
    """An execnet channel, as far as the agent needs it: iteration ends when the controller is gone."""

    def send(self, item: object) -> None: ...

    def setcallback(self, callback: Callable[[object], None]) -> None: ...

    def __iter__(self) -> Iterator[Any]: ...


def serve(channel: Channel, signs: Channel) -> None:
    """Open the board the first request names, ending the agent before, then obey until the channel closes.

    `signs` carries the controller's signs of life.

    A request is `(method, arguments)`; a reply `("ok", value)` or `("error", kind, message)`, where kind is the
    exception's class name. Before it come any number of `("told", line)`. The board is restored on every way out.
    """
    requests = iter(channel)
    controller = SignsOfLife()
    signs.setcallback(controller.hear)
    with ExitStack() as stack:
        stack.enter_context(_telling(channel))
        try:
            opener, config, before = next(requests)
            if before is not None:
                predecessor.end(before)
            module, _, function = opener.partition(":")
            board = stack.enter_context(getattr(importlib.import_module(module), function)(config))
            agent = Agent(board, ModelStore(default_folder()), controller)
            stack.callback(agent.close)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - every failure to open goes to the controller, which tells the person
            channel.send(_failure(error))
            return
        hello = {"python": platform.python_version(), "numpy": np.__version__, "host": platform.node()}
        channel.send(("ok", {**hello, "process": predecessor.whoami()}))
        methods: dict[str, Callable[..., Any]] = {
            name: getattr(agent, name) for name in dir(agent) if not name.startswith("_")
        }
        for method, arguments in requests:
            if method == "now_ns":
                # Answered here, so that nothing stands between the arrival and the two stamps of a round trip.
                arrived_ns = board.clock.now_ns()
                channel.send(("ok", [arrived_ns, board.clock.now_ns()]))
                continue
            try:
                reply: tuple[object, ...] = ("ok", methods[method](**arguments))
            except Exception as error:  # noqa: BLE001 - the agent outlives any single request
                reply = _failure(error)
            channel.send(reply)


@contextmanager
def _telling(channel: Channel) -> Iterator[None]:
    """Pass on what targets log, INFO and up."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            channel.send(("told", record.getMessage()))

    logger, teller = logging.getLogger(_TOLD), Teller(logging.INFO)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(teller)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.setLevel(level)
        logger.removeHandler(teller)


def _failure(error: Exception) -> tuple[str, str, str]:
    _log.debug("request failed at %s", time.monotonic_ns(), exc_info=True)
    own = type(error).__module__.partition(".")[0] in ("testbed", "scheduler")
    detail = str(error) if own else "".join(traceback.format_exception_only(type(error), error)).strip()
    return ("error", type(error).__name__, detail)
