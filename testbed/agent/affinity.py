"""Which cores a thread may run on."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType


class Cores:
    """Some of the board's cores; None: whichever the kernel likes."""

    def __init__(self, cores: Collection[int] | None) -> None:
        """Raises ValueError for a core this process may not run on."""
        allowed = os.sched_getaffinity(0)
        if absent := sorted(set(cores or ()) - allowed):
            raise ValueError(
                f"`cores` of the board in the bench file names {', '.join(map(str, absent))}, and there are only "
                f"{', '.join(map(str, sorted(allowed)))}"
            )
        self._cores = frozenset(cores or ())

    def held(self) -> AbstractContextManager[None]:
        """Keep the calling thread on these cores, from entering to leaving; threads it starts meanwhile stay there.

        Leaving gives the thread the cores it had: what else it does goes where the kernel likes.
        """
        return _Held(self._cores) if self._cores else nullcontext()

    def __str__(self) -> str:
        return f"cores {', '.join(map(str, sorted(self._cores)))}" if self._cores else "any core"


class _Held:
    __slots__ = ("_before", "_cores")

    def __init__(self, cores: frozenset[int]) -> None:
        self._cores = cores
        self._before: set[int] = set()

    def __enter__(self) -> None:
        self._before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._cores)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.sched_setaffinity(0, self._before)
