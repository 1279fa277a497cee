"""TensorRT's log and its building progress, told through this package's logger.

Their classes derive from TensorRT's own, which exist only once TensorRT is imported.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from testbed.agent.contract import CannotLoad
from testbed.agent.targets.tensorrt.library import Library

_log = logging.getLogger(__name__)

PROGRESS_S = 5.0
"""between two lines about a build"""


class Complaints:
    """What TensorRT said last when it failed: it returns None, and the reason is in its log alone."""

    def __init__(self) -> None:
        self._errors: list[str] = []

    def add(self, message: str) -> None:
        """Keep an error."""
        self._errors.append(message.strip())

    def take(self) -> str:
        """All since the last time, in one line."""
        errors, self._errors = self._errors, []
        return "; ".join(errors) or "it does not say why"


@contextmanager
def starting(library: Library, complaints: Complaints) -> Iterator[None]:
    """While an object of TensorRT's is made with its logger. Raises CannotLoad where TensorRT gives none."""
    try:
        yield
    except TypeError:  # pybind11's word for a factory that gave nothing
        raise CannotLoad(f"TensorRT {library.version} does not start on this device: {complaints.take()}") from None


def logger(library: Library, complaints: Complaints) -> Any:
    """A tensorrt.ILogger that keeps errors, and hands all to `logging` for who wants to know (DEBUG)."""
    trt = library.trt
    errors = {trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR}

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]  # a class of a module known when it runs
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in errors:
                complaints.add(message)
            _log.debug("TensorRT: %s", message)

    return Logger()


def progress(library: Library, what: str, now_s: Callable[[], float] = time.monotonic) -> Any:
    """A tensorrt.IProgressMonitor that tells how far the build of `what` is, every few seconds.

    None for TensorRT 8, which has none.
    """
    trt = library.trt
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Progress(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._told_s = now_s()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if now_s() - self._told_s >= PROGRESS_S:
                self._told_s = now_s()
                _log.info("building %s: %s, step %d of %d", what, phase_name, step + 1, self._steps.get(phase_name, 0))
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Progress()
