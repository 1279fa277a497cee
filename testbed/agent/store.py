"""Model files on the board, kept by digest so that a second run sends nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


class ModelStore:
    """A folder of ONNX files named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Where the file of that digest lies or would lie."""
        return self._folder / f"{sha256}.onnx"

    def has(self, sha256: str) -> bool:
        """Whether the file is here; a damaged one is removed."""
        path = self.path(sha256)
        try:
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
        except FileNotFoundError:
            return False
        if digest.hexdigest() == sha256:
            return True
        path.unlink()
        return False

    def put(self, sha256: str, content: bytes) -> None:
        """Keep the file. Raises ValueError when the content is not what the digest says."""
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError(f"a model file arrived damaged (expected digest {sha256[:12]})")
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".incoming-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(self.path(sha256))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/testbed/board`, as the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "testbed" / "board"
