"""A folder of models, laid out as Triton has it (NAME/VERSION/model.onnx) or as NAME.onnx."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model to serve."""

    path: Path
    version: str


def models_in(folder: Path) -> dict[str, ModelFile]:
    """Name -> the file of its highest version. Raises ValueError for a folder that is none, or holds no models."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give one with NAME.onnx or NAME/1/model.onnx in it")
    found = {path.stem: ModelFile(path, "1") for path in sorted(folder.glob("*.onnx"))}
    for path in sorted(folder.glob("*/*/model.onnx"), key=_version):
        if _version(path) == 0:
            continue
        name = path.parent.parent.name
        if name in found and found[name].path.parent == folder:
            raise ValueError(f"{folder} has model '{name}' twice, as {name}.onnx and as {name}/: take one away")
        found[name] = ModelFile(path, path.parent.name)
    if not found:
        raise ValueError(f"{folder} holds no models: put NAME.onnx or NAME/1/model.onnx in it")
    return found


def _version(path: Path) -> int:
    """Of a path to NAME/VERSION/model.onnx; 0 where the folder is no version."""
    text = path.parent.name
    return int(text) if text.isascii() and text.isdigit() else 0
