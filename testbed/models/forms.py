"""Files of a network that one kind of processor wants in place of the precision's own.

int8-trt  INT8 for TensorRT: see `testbed.models.convert.to_int8_symmetric`
fp32      for a processor that makes another precision of it by itself
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from testbed.models import convert, zoo
from testbed.models.cache import Artifact, Cache, sha256_of
from testbed.models.maker import CALIBRATION_INPUTS, CALIBRATION_SEED, TOOLS, Step

SYMMETRIC = "int8-trt"
SYMMETRIC_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""what TensorRT gains most by; it carries the integers through what lies between them by itself"""


def form(model: zoo.PreparedModel, name: str, on_step: Step, cache: Path | None = None) -> Artifact | None:
    """The file of that form, made from the FP32 one where it must be.

    None where there is none to make it from: a user's own files without one at fp32.
    """
    if name in model.files:
        return Artifact(model.files[name], model.sha256[name])
    fp32 = _fp32(model, on_step, cache)
    if fp32 is None or name == "fp32":
        return fp32
    recipe = {
        "form": SYMMETRIC,
        "source": fp32.sha256,
        "operators": SYMMETRIC_OPERATORS,
        "calibration": [CALIBRATION_INPUTS, CALIBRATION_SEED],
        "converter": sha256_of(Path(convert.__file__)),
        "tools": {tool: version(tool) for tool in TOOLS},
    }

    def build(path: Path) -> None:
        on_step(f"{model.name}: quantising to int8 for TensorRT")
        calibration = model.inputs(CALIBRATION_INPUTS, CALIBRATION_SEED)
        convert.to_int8_symmetric(fp32.path, path, SYMMETRIC_OPERATORS, calibration)

    return Cache(cache).get(f"{model.name}-{SYMMETRIC}", ".onnx", recipe, build)


def _fp32(model: zoo.PreparedModel, on_step: Step, cache: Path | None) -> Artifact | None:
    if "fp32" not in model.files:
        if any(accuracy.provenance == "given" for accuracy in model.accuracy.values()):
            return None  # a user's own
        model = zoo.prepare(model.name, ["fp32"], cache, on_step)
    return Artifact(model.files["fp32"], model.sha256["fp32"])
