"""Photos as JPEG, instead of the tensors they are: a tenth of the bytes, for some of the board's own time."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from testbed.agent.contract import Tensors
from testbed.agent.targets.signature import Signature, is_image


class NoPillow(Exception):
    """The board's Python has nothing that writes JPEG."""


def require_pillow() -> None:
    """Raises NoPillow, with the cure."""
    try:
        import PIL.Image  # noqa: F401
    except ModuleNotFoundError:
        raise NoPillow(
            "sending images as JPEG needs Pillow, which this board's Python does not have: "
            "run `python3 -m pip install pillow` on the board"
        ) from None


def as_jpeg(tensors: Tensors, signature: Signature, quality: int) -> dict[str, NDArray[np.generic]]:
    """Each photo among them as a BYTES tensor of one JPEG; what is no photo stays as it is."""
    from PIL import Image

    packed: dict[str, NDArray[np.generic]] = dict(tensors)
    for name, tensor in tensors.items():
        if is_image(tensor):
            content = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(np.moveaxis(tensor[0], 0, 2))).save(content, "JPEG", quality=quality)
            element = np.empty(signature.jpeg_shape(name), "O")
            element.fill(content.getvalue())
            packed[name] = element
    return packed
