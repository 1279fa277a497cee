"""Whether an ONNX file can serve: it is read, counted and run once, so that what is wrong is said in time."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from testbed.errors import BenchError
from testbed.models import inputs, onnx_file
from testbed.models.counts import Counts, count
from testbed.models.onnx_file import OnnxFile


def vet(path: Path) -> tuple[OnnxFile, Counts]:
    """The file and what it is made of.

    Raises BenchError when it is not ONNX, cut short, of shapes that are not fixed, without layers that multiply, or
    when ONNX Runtime lacks an operator of it or fails to run it.
    """
    file = onnx_file.read(path)
    counts = count(file)
    if not counts.macs:
        raise BenchError(f"{path} multiplies nothing: it has no convolution, matrix product or recurrent layer")
    [tensors] = inputs.for_specs(file.inputs, 1)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        session.run(None, dict(tensors))
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise BenchError(f"ONNX Runtime {onnxruntime.__version__} cannot run {path}: {error}") from error
    return file, counts
