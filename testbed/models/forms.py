"""Files of a network that one kind of target wants in place of the precision's own.

int8-trt  INT8 for TensorRT: see `testbed.models.convert.to_int8_symmetric`
fp32      for a target that makes another precision of it by itself
"""

from __future__ import annotations

from pathlib import Path

from testbed.models import zoo
from testbed.models.cache import Artifact
from testbed.models.maker import Step


def form(model: zoo.PreparedModel, name: str, on_step: Step, cache: Path | None = None) -> Artifact | None:
    """The file of that form, made from the FP32 one where it must be.

    None where there is none to make it from: a user's own files without one at fp32.
    """
    if name in model.files:
        made = model
    elif all(accuracy.provenance != "given" for accuracy in model.accuracy.values()):
        made = zoo.prepare(model.name, [name], cache, on_step)
    elif "fp32" in model.files:
        made = zoo.prepare_file(model.files["fp32"], [name], cache, on_step)
    else:
        return None
    return Artifact(made.files[name], made.sha256[name])
