"""What a server says of itself and of one model, held against what is sent and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from testbed.agent.contract import Tensors
from testbed.agent.targets.failures import RequestRefused
from testbed.agent.tensors import MalformedTensor, datatype

Slot = tuple[str, tuple[int, ...]]
"""datatype and shape of an input or output; -1 is a size left open"""


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's inputs and outputs by name; either is empty where the server does not tell."""

    model: str
    inputs: Mapping[str, Slot]
    outputs: Mapping[str, Slot]

    @staticmethod
    def read(model: str, metadata: object) -> Signature:
        """From the protocol's model metadata. Raises MalformedTensor."""
        if not isinstance(metadata, dict):
            raise MalformedTensor("the model's metadata are not a JSON object")
        return Signature(model, _slots(metadata.get("inputs")), _slots(metadata.get("outputs")))

    def require_inputs(self, tensors: Tensors, *, jpeg: bool) -> None:
        """Raises RequestRefused for tensors whose names, types or shapes the model does not take.

        One that is missing is left to the server, which knows what is optional.
        """
        if not self.inputs:
            return
        for name, tensor in tensors.items():
            if name not in self.inputs:
                raise RequestRefused(
                    f"model '{self.model}' has no input '{name}', it takes {', '.join(sorted(self.inputs))}: "
                    "rename the input in the model's file, or serve the same file"
                )
            kind, shape = self.inputs[name]
            if jpeg and is_image(tensor) and kind in ("BYTES", "UINT8"):
                continue
            if kind != datatype(tensor.dtype) or not _fits(shape, tensor.shape):
                raise RequestRefused(
                    f"input '{name}' of model '{self.model}' is {kind} {list(shape)} on the server, "
                    f"and the workload sends {datatype(tensor.dtype)} {list(tensor.shape)}: serve the same file"
                )

    def require_outputs(self, tensors: Tensors) -> None:
        """Raises MalformedTensor when a reply does not keep to what the server promised."""
        for name, (kind, shape) in self.outputs.items():
            if name not in tensors:
                raise MalformedTensor(f"the reply lacks output '{name}'")
            came = tensors[name]
            held = "FP32" if kind == "BF16" else kind
            if held != datatype(came.dtype) or not _fits(shape, came.shape):
                raise MalformedTensor(
                    f"output '{name}' came as {datatype(came.dtype)} {list(came.shape)}, "
                    f"where the server's metadata promise {kind} {list(shape)}"
                )

    def jpeg_shape(self, name: str) -> tuple[int, ...]:
        """Of the BYTES tensor that holds one JPEG: as the model says where it takes BYTES, else [1]."""
        kind, shape = self.inputs.get(name, ("", ()))
        return tuple(abs(size) for size in shape) if kind == "BYTES" and set(shape) <= {1, -1} else (1,)


def is_image(tensor: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bool:
    """Whether it is one photo, uint8 [1, 3, height, width]."""
    return tensor.dtype == np.uint8 and tensor.ndim == 4 and tensor.shape[:2] == (1, 3)


def _slots(described: object) -> dict[str, Slot]:
    if described is None:
        return {}
    try:
        return {str(each["name"]): (str(each["datatype"]), tuple(map(int, each["shape"]))) for each in described}  # type: ignore[attr-defined]
    except (TypeError, KeyError, ValueError):
        raise MalformedTensor("the model's metadata do not name its tensors, types and shapes") from None


def _fits(promised: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(promised) == len(shape) and all(size in (-1, got) for size, got in zip(promised, shape, strict=True))
