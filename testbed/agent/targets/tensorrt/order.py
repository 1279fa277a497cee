"""What is to be built: which file of the model, for which device, at which precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.agent.contract import CannotLoad, Model, Tensors
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.shapes import Shape

INT8_FORM = "int8-trt"
"""the form of an INT8 file that TensorRT reads: Q/DQ pairs, symmetric about 0 (ONNX Runtime's own form is not)"""
WORKSPACE_BYTES = 1 << 30
"""that a layer may take while it runs; a Jetson shares its memory between GPU and CPU"""


@dataclass(frozen=True, slots=True)
class Device:
    """The GPU, or one core of the DLA."""

    dla_core: int | None = None
    """None: the GPU"""

    @property
    def name(self) -> str:
        """As a bench names it."""
        return "gpu" if self.dla_core is None else f"dla{self.dla_core}"

    @property
    def precisions(self) -> tuple[str, ...]:
        """A DLA computes in FP16 and INT8 alone."""
        return ("fp32", "fp16", "int8") if self.dla_core is None else ("fp16", "int8")


@dataclass(frozen=True, slots=True)
class Order:
    """One engine to be built."""

    model: str
    path: Path
    precision: str
    device: Device
    shapes: Mapping[str, Shape]
    """of the inputs the workload has"""
    calibration: Sequence[Tensors] | None
    """inputs to find INT8 ranges with, for a DLA until TensorRT 10"""

    @property
    def title(self) -> str:
        """As it stands in messages."""
        return f"{self.model} at {self.precision} on {self.device.name}"


def int8_form(library: Library, device: Device) -> str:
    """The form of a model's file that INT8 is made from.

    Until TensorRT 10 a DLA takes no Q/DQ pairs (https://github.com/NVIDIA/TensorRT/issues/2222): its ranges are found
    by calibration, on the network in FP32.
    """
    return "fp32" if library.calibrates and device.dla_core is not None else INT8_FORM


def order(library: Library, model: Model, precision: str, device: Device) -> Order:
    """What to build for a model at a precision. Raises CannotLoad where no file of it will do."""
    if precision not in device.precisions:
        raise CannotLoad(f"{device.name} computes in {' and '.join(device.precisions)}, not in {precision}")
    shapes = {name: tensor.shape for name, tensor in model.inputs[0].items()} if model.inputs else {}
    form = int8_form(library, device) if precision == "int8" else precision
    if form == "fp32" and precision == "int8":
        if "fp32" not in model.files or not model.inputs:
            raise CannotLoad(
                f"TensorRT {library.version} makes INT8 for {device.name} of the fp32 file and the workload's inputs: "
                f"model '{model.name}' must have both"
            )
        return Order(model.name, model.files["fp32"], precision, device, shapes, model.inputs)
    # A user's own INT8 file may well be such a one; TensorRT's parser says so when it is not.
    path = model.files.get(form, model.files.get(precision))
    if path is None:
        raise CannotLoad(f"model '{model.name}' has no file at {precision}, only at {', '.join(model.files)}")
    return Order(model.name, path, precision, device, shapes, None)
