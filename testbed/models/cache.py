"""Files that take long to make, kept by what made them.

A recipe (what the file is made from and with) names a small record, the record names the file and its SHA-256, and the
file carries that digest in its name. Each is written aside and renamed into place: a reader sees whole files only, two
processes may make the same thing at once, and one killed half-way leaves nothing that looks finished.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger(__name__)
_ABANDONED_S = 24 * 3600.0
"""a workshop this old belongs to no living process"""

Recipe = Mapping[str, object]
"""what a file is made from and with; anything JSON can hold"""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the cache."""

    path: Path
    sha256: str


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/testbed/models`, as the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "testbed" / "models"


class Cache:
    """A folder of made files. Remove it whenever you like: all of it can be made again."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_folder()

    def get(self, stem: str, suffix: str, recipe: Recipe, build: Callable[[Path], None]) -> Artifact:
        """The file `recipe` describes; when it is not there, or damaged, `build(path)` writes it first.

        `stem` and `suffix` are for the eye: the name is stem-digest.suffix.
        """
        record = self._folder / f"{stem}-{_digest_of(recipe)}.json"
        return self._find(record) or self._make(record, stem, suffix, recipe, build)

    def _find(self, record: Path) -> Artifact | None:
        try:
            entry = json.loads(record.read_text("utf-8"))
            artifact = Artifact(self._folder / entry["file"], entry["sha256"])
            if sha256_of(artifact.path) == artifact.sha256:
                return artifact
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            _LOG.warning("%s is damaged and will be made again", record)
            return None
        _LOG.warning("%s is damaged and will be made again", artifact.path)
        artifact.path.unlink(missing_ok=True)
        return None

    def _make(self, record: Path, stem: str, suffix: str, recipe: Recipe, build: Callable[[Path], None]) -> Artifact:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        with tempfile.TemporaryDirectory(prefix=".workshop-", dir=self._folder) as workshop:
            made = Path(workshop) / f"made{suffix}"
            build(made)
            digest = sha256_of(made)
            artifact = Artifact(self._folder / f"{stem}-{digest[:16]}{suffix}", digest)
            made.replace(artifact.path)
            entry = Path(workshop) / "record"
            entry.write_text(
                json.dumps({"file": artifact.path.name, "sha256": digest, "recipe": recipe}, indent=1), "utf-8"
            )
            entry.replace(record)
        return artifact

    def _sweep(self) -> None:
        for workshop in self._folder.glob(".workshop-*"):
            try:
                abandoned = time.time() - workshop.stat().st_mtime > _ABANDONED_S
            except FileNotFoundError:
                continue
            if abandoned:
                shutil.rmtree(workshop, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _digest_of(recipe: Recipe) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
