"""ONNX files of the user's own, kept by content and known by name, so that suites can name them.

They lie in `$XDG_DATA_HOME/testbed/models`, not in the cache: nothing could make them again. A name is a small record,
which names files by their SHA-256.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from testbed.agent.contract import Tensors
from testbed.errors import BenchError
from testbed.models.accuracy import Accuracy
from testbed.models.cache import sha256_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Registered:
    """A user's own model."""

    name: str
    sha256: str
    """of the ONNX file, FP32"""
    calibration: str | None
    """SHA-256 of the inputs that INT8 ranges come from; None: the default ones"""
    accuracy: Mapping[str, Accuracy]
    """precision -> accuracy on labelled inputs; empty where none were given"""


def default_folder() -> Path:
    """`$XDG_DATA_HOME/testbed/models`, as the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "testbed" / "models"


class Registry:
    """A folder of registered models."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_folder()

    def names(self) -> tuple[str, ...]:
        """Of all models, in order."""
        return tuple(sorted(path.stem for path in self._folder.glob("*.json")))

    def find(self, name: str) -> Registered | None:
        """Raises BenchError when its record or its file is damaged."""
        if _NAME.fullmatch(name) is None:
            return None
        record = self._folder / f"{name}.json"
        try:
            model = _from_json(name, json.loads(record.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise BenchError(f"{record} is damaged: add the model again (testbed models add)") from None
        for digest, path in ((model.sha256, self.onnx(model)), (model.calibration, self.calibration(model))):
            if path is not None and (not path.exists() or sha256_of(path) != digest):
                raise BenchError(f"{path}, which the model {name!r} needs, is damaged: add the model again")
        return model

    def onnx(self, model: Registered) -> Path:
        """Its ONNX file."""
        return self._folder / f"{model.sha256}.onnx"

    def calibration(self, model: Registered) -> Path | None:
        """An npz of its calibration inputs: each with an axis of examples before its own."""
        return None if model.calibration is None else self._folder / f"{model.calibration}.npz"

    def add(self, name: str, source: Path) -> Registered:
        """Keep a copy of the file under a name; what was kept under it is forgotten. Raises BenchError."""
        if _NAME.fullmatch(name) is None:
            raise BenchError(f"{name!r} is no name for a model: letters, digits, - and _, a letter or a digit first")
        digest = self._keep(".onnx", lambda path: shutil.copyfile(source, path))
        return self._record(Registered(name, digest, None, {}))

    def calibrate(self, model: Registered, examples: Sequence[Tensors]) -> Registered:
        """Have INT8 ranges come from these inputs; what was measured is forgotten."""
        stacked = {name: np.stack([tensors[name] for tensors in examples]) for name in examples[0]}
        digest = self._keep(".npz", lambda path: _save(path, stacked))
        if digest == model.calibration:
            return model
        return self._record(replace(model, calibration=digest, accuracy={}))

    def measured(self, model: Registered, accuracy: Mapping[str, Accuracy]) -> Registered:
        """Keep what was measured on labelled inputs."""
        return self._record(replace(model, accuracy={**model.accuracy, **accuracy}))

    def _record(self, model: Registered) -> Registered:
        accuracy = {precision: asdict(known) for precision, known in model.accuracy.items()}
        entry = {"sha256": model.sha256, "calibration": model.calibration, "accuracy": accuracy}
        self._write(f"{model.name}.json", lambda path: path.write_text(json.dumps(entry, indent=1), "utf-8"))
        return model

    def _keep(self, suffix: str, write: Callable[[Path], object]) -> str:
        """Write a file and name it by its digest."""
        return self._write(None, write, suffix)

    def _write(self, name: str | None, write: Callable[[Path], object], suffix: str = "") -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self._folder) as workshop:
            made = Path(workshop) / "made"
            write(made)
            digest = sha256_of(made)
            made.replace(self._folder / (name or f"{digest}{suffix}"))
        return digest


def _from_json(name: str, entry: Mapping[str, Any]) -> Registered:
    accuracy = {precision: Accuracy(**known) for precision, known in entry["accuracy"].items()}
    return Registered(name, entry["sha256"], entry["calibration"], accuracy)


def _save(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    with path.open("wb") as file:  # given a path, numpy would add a suffix of its own
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]  # its stub takes allow_pickle for any keyword
