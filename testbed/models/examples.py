"""Inputs of the user's own, for calibration or with labels: a folder of photos, or an npz of tensors.

An npz holds an array for each input, with an axis of examples before the input's own, and with labels an array "labels"
of class numbers. A folder holds photos; with labels it holds folders named by class number, and photos in those.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from testbed.agent.contract import Tensors
from testbed.errors import BenchError
from testbed.models import inputs
from testbed.models.onnx_file import TensorSpec

LABELS = "labels"
PHOTOS = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Examples:
    """Inputs, and the class of each where labels were asked for."""

    tensors: Sequence[Tensors]
    labels: Sequence[int]


def read(source: Path, specs: Sequence[TensorSpec], *, labelled: bool) -> Examples:
    """The examples at `source`, fit for a network that takes `specs`. Raises BenchError."""
    if source.is_dir():
        return _photos(source, specs, labelled)
    try:
        with source.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise BenchError(f"there is neither a folder nor a file {source}") from None
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise BenchError(f"{source} is neither a folder of photos nor an npz of arrays ({error})") from None
    return _tensors(source, arrays, specs, labelled)


def _tensors(source: Path, arrays: Mapping[str, NDArray[Any]], specs: Sequence[TensorSpec], labelled: bool) -> Examples:
    wanted = {spec.name for spec in specs} | ({LABELS} if labelled else set())
    if missing := sorted(wanted - set(arrays)):
        raise BenchError(f"{source} lacks {', '.join(map(repr, missing))}; it holds {', '.join(map(repr, arrays))}")
    counts = {len(arrays[name]) if arrays[name].ndim else 0 for name in wanted}
    if len(counts) != 1 or not max(counts):
        raise BenchError(f"{source}: every array needs the same number of examples, one at least, as its first axis")
    for spec in specs:
        array = arrays[spec.name]
        if array.shape[1:] != spec.shape or array.dtype != spec.dtype:
            raise BenchError(
                f"{source}: {spec.name!r} must be {spec.dtype} {['N', *spec.shape]}, "
                f"not {array.dtype} {list(array.shape)}"
            )
    if labelled and (arrays[LABELS].ndim != 1 or arrays[LABELS].dtype.kind not in "iu"):
        raise BenchError(f"{source}: {LABELS!r} must be one class number for each example")
    tensors = [{spec.name: arrays[spec.name][i] for spec in specs} for i in range(max(counts))]
    return Examples(tensors, arrays[LABELS].tolist() if labelled else [])


def _photos(folder: Path, specs: Sequence[TensorSpec], labelled: bool) -> Examples:
    if len(specs) != 1 or not inputs.is_photo(specs[0]):
        raise BenchError(
            f"{folder} is a folder of photos, and the model takes {', '.join(map(_described, specs))}: give an npz"
        )
    found = sorted(path for path in folder.glob("*/*" if labelled else "*") if path.suffix.lower() in PHOTOS)
    if not found:
        within = "in folders named by class number" if labelled else ", ".join(sorted(PHOTOS))
        raise BenchError(f"there are no photos in {folder} ({within})")
    labels = []
    for path in found if labelled else ():
        if not path.parent.name.isdecimal():
            raise BenchError(f"{path.parent}: its name is no class number, which labels the photos within")
        labels.append(int(path.parent.name))
    return Examples([{specs[0].name: _photo(path, specs[0])} for path in found], labels)


def _photo(path: Path, spec: TensorSpec) -> NDArray[np.generic]:
    """The middle square of a photo, as the network takes it."""
    height, width = inputs.photo_size(spec)
    try:
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise BenchError(f"{path} cannot be read as a photo ({error})") from None
    scale = min(photo.width / width, photo.height / height)
    left, top = (photo.width - width * scale) / 2, (photo.height - height * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)
    return inputs.as_input(np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR, box)), spec)


def _described(spec: TensorSpec) -> str:
    return f"{spec.name!r}, {spec.dtype} {list(spec.shape)}"
