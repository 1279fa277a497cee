"""Real inputs for a workload: different photos, different sentences, from a seed.

Photos are crops of those that scikit-image carries in its wheel (https://scikit-image.org/docs/stable/api/skimage.data.html),
so nothing is fetched. Inputs follow from what the ONNX file declares:

- four dimensions, one of them 3 channels: a photo, in the file's own layout. uint8 as it is; floats scaled to 0..1 and
  normalised with ImageNet's mean and deviation, as torchvision's classifiers expect;
- integers that index a table of the graph: token numbers below the table's length;
- other integers: ones (an attention mask without absent tokens);
- other floats: numbers of a standard normal distribution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from testbed.agent.contract import Tensors
from testbed.models.networks.image import IMAGENET_DEVIATION, IMAGENET_MEAN
from testbed.models.onnx_file import TensorSpec

PHOTOS = ("astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field",
          "immunohistochemistry", "moon", "retina", "rocket")  # fmt: skip
"""functions of skimage.data whose photo lies in every wheel since 0.24"""
SMALLEST_CROP = 0.4
"""of the photo's shorter side"""


def for_specs(specs: Sequence[TensorSpec], count: int = 32, seed: int = 0) -> list[Tensors]:
    """`count` different sets of inputs for a network that declares `specs`; the same ones for the same seed."""
    random = np.random.default_rng(seed)
    made = {spec.name: _arrays(spec, count, random) for spec in specs}
    return [{name: arrays[i] for name, arrays in made.items()} for i in range(count)]


def crops(count: int, height: int, width: int, random: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Crops of photos, uint8 [height, width, 3]: the photos in turn, place, size and mirroring at random."""
    photos = [_photo(name) for name in PHOTOS[:count]]
    return [_crop(photos[i % len(photos)], height, width, random) for i in range(count)]


def is_photo(spec: TensorSpec) -> bool:
    """Whether an input is one photo: four dimensions, one of them 3 channels."""
    return len(spec.shape) == 4 and spec.shape[0] == 1 and 3 in (spec.shape[1], spec.shape[3])


def photo_size(spec: TensorSpec) -> tuple[int, int]:
    """Height and width of an input that is a photo."""
    height, width = spec.shape[2:] if spec.shape[1] == 3 else spec.shape[1:3]
    return height, width


def as_input(photo: NDArray[np.uint8], spec: TensorSpec) -> NDArray[np.generic]:
    """A photo, uint8 [height, width, 3], in the layout, type and normalisation that `spec` asks for."""
    channels_first, dtype = spec.shape[1] == 3, np.dtype(spec.dtype)
    laid = photo.transpose(2, 0, 1) if channels_first else photo
    if dtype.kind != "f":
        return laid[np.newaxis].astype(dtype)
    per_channel = (3, 1, 1) if channels_first else (3,)
    mean, deviation = (np.array(v, np.float32).reshape(per_channel) for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return ((laid - mean) / deviation)[np.newaxis].astype(dtype)


def _arrays(spec: TensorSpec, count: int, random: np.random.Generator) -> list[NDArray[np.generic]]:
    dtype = np.dtype(spec.dtype)
    if is_photo(spec):
        return [as_input(photo, spec) for photo in crops(count, *photo_size(spec), random)]
    if spec.rows is not None:
        return [random.integers(0, spec.rows, spec.shape).astype(dtype) for _ in range(count)]
    if dtype.kind in "iub":
        return [np.ones(spec.shape, dtype) for _ in range(count)]
    return [random.standard_normal(spec.shape).astype(dtype) for _ in range(count)]


def _photo(name: str) -> NDArray[np.uint8]:
    photo: NDArray[np.uint8] = getattr(data, name)()
    return photo if photo.ndim == 3 else np.repeat(photo[..., np.newaxis], 3, axis=2)


def _crop(photo: NDArray[np.uint8], height: int, width: int, random: np.random.Generator) -> NDArray[np.uint8]:
    full_height, full_width, _ = photo.shape
    scale = min(full_height / height, full_width / width) * random.uniform(SMALLEST_CROP, 1)
    crop_height, crop_width = max(1, int(height * scale)), max(1, int(width * scale))
    top = random.integers(0, full_height - crop_height + 1)
    left = random.integers(0, full_width - crop_width + 1)
    crop = photo[top : top + crop_height, left : left + crop_width]
    if random.random() < 0.5:
        crop = crop[:, ::-1]
    return np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BILINEAR))
