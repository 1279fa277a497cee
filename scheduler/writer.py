"""Writing to disk behind the back of those who must not wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from scheduler.files import write_whole

_log = logging.getLogger(__name__)

Content = Callable[[], bytes]


class Writer:
    """Keeps a file at the newest content offered, from a thread of its own. A context manager.

    A disk that is full or gone is logged, told to `on_error`, and tried again with the next content.
    """

    def __init__(self, path: Path, on_error: Callable[[str], None], patience_s: float = 5.0) -> None:
        """Leaving waits at most `patience_s` for the last content to be written."""
        self._path, self._on_error, self._patience_s = path, on_error, patience_s
        self._changed = threading.Condition()
        self._newest: Content | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name=f"writer of {path.name}", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(self._patience_s)
        if self._thread.is_alive():
            self._complain(f"{self._path}: not written within {self._patience_s:g} s; the file is as it was before")

    def offer(self, content: Content) -> None:
        """Have this written; content that is still waiting is dropped for it. Never waits for the disk."""
        with self._changed:
            self._newest = content
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._newest is not None)
                content, self._newest = self._newest, None
            if content is None:
                return
            try:
                write_whole(self._path, content())
            except OSError as error:
                self._complain(f"{self._path}: could not be written ({error})")

    def _complain(self, text: str) -> None:
        _log.warning("%s", text)
        self._on_error(text)
