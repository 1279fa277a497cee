"""JPEG instead of the image tensor it stands for."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.agent.tensors import MalformedTensor
from testbed.serve.engine import TensorSpec


def takes_jpeg(spec: TensorSpec) -> bool:
    """Whether an input is one photo: UINT8 [1, 3, height, width], the batch perhaps left open."""
    return spec.datatype == "UINT8" and len(spec.shape) == 4 and spec.shape[0] in (1, -1) and spec.shape[1] in (3, -1)


def from_jpeg(spec: TensorSpec, tensor: NDArray[Any]) -> NDArray[np.uint8]:
    """The photo in a BYTES tensor of one element, uint8 [1, 3, height, width]. Raises MalformedTensor."""
    from PIL import Image, UnidentifiedImageError

    if tensor.size != 1:
        raise MalformedTensor(f"input '{spec.name}' takes one JPEG in a tensor of BYTES, not {tensor.size}")
    height, width = spec.shape[2:]
    try:
        with Image.open(io.BytesIO(tensor.item()), formats=["JPEG"]) as image:
            if width not in (-1, image.width) or height not in (-1, image.height):
                raise MalformedTensor(
                    f"input '{spec.name}' takes {width} x {height} pixels, the JPEG has {image.width} x {image.height}"
                )
            pixels = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise MalformedTensor(f"input '{spec.name}': its bytes are no JPEG that can be read: {error}") from None
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0)[np.newaxis])
