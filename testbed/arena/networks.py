"""What networks ask of a board, for worlds that never run them: from the zoo's graphs, or from the literature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from scheduler.contract import Network, Task
from testbed.agent.targets.kserve_http import encode_request
from testbed.agent.tensors import encode_binary, join
from testbed.arena.config import ArenaWorkload
from testbed.arena.contract import Job
from testbed.errors import BenchError
from testbed.models import zoo
from testbed.models.accuracy import Accuracy
from testbed.models.counts import WIDTH
from testbed.models.onnx_file import TensorSpec

_SCORES = (TensorSpec("logits", "float32", (1, 1000)),)
_DETECTIONS = (
    TensorSpec("boxes", "float32", (1, 100, 4)),
    TensorSpec("classes", "float32", (1, 100)),
    TensorSpec("scores", "float32", (1, 100)),
)


@dataclass(frozen=True, slots=True)
class Described:
    """A network as figures."""

    network: Network
    elements_moved: int
    accuracy: Mapping[str, float]
    """precision -> accuracy"""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class _Published:
    """A network of the literature: MACs, parameters and activations in millions, as `testbed.virtual.networks` says.

    Layers are counted by the rule of `testbed.models.counts`.
    """

    conv_layers: int
    fc_layers: int
    mmacs: float
    mparameters: float
    mactivations: float
    size: int
    """of the square input image, uint8 RGB"""
    accuracy: Mapping[str, Accuracy]
    outputs: tuple[TensorSpec, ...] = field(default=_SCORES)

    def described(self, name: str) -> Described:
        macs, elements = round(1e6 * self.mmacs), round(1e6 * (self.mparameters + 2.0 * self.mactivations))
        image = TensorSpec("image", "uint8", (1, 3, self.size, self.size))
        return Described(
            network=Network(name, self.conv_layers, self.fc_layers, 0, macs, image.nbytes),
            elements_moved=elements,
            accuracy={precision: known.value for precision, known in self.accuracy.items()},
            inputs=(image,),
            outputs=self.outputs,
        )


_TORCHVISION = "IMAGENET1K_V1 of torchvision 0.29.1, torchvision/models"
_TORCHVISION_INT8 = "quantised from IMAGENET1K_V1, torchvision 0.29.1, torchvision/models/quantization"
_TENSORFLOW = "tensorflow/models, research/object_detection/g3doc/tf1_detection_zoo.md; rounded there to a percent"
_MLPERF = "mlcommons/inference, vision/classification_and_detection/README.md"


def _accuracy(metric: str, fp32: float, source: str, int8: float, int8_source: str) -> dict[str, Accuracy]:
    return {
        "fp32": Accuracy(fp32, metric, "published", source),
        "fp16": Accuracy(fp32, metric, "assumed", "FP32's"),
        "int8": Accuracy(int8, metric, "published", int8_source),
    }


_TOP1 = "ImageNet top-1"
_MAP = "COCO mAP"
_DETECTOR_V3: Mapping[str, Accuracy] = {
    "fp32": Accuracy(
        0.213, _MAP, "published", "COCO_V1 of torchvision 0.29.1, torchvision/models/detection/ssdlite.py"
    ),
    "fp16": Accuracy(0.213, _MAP, "assumed", "FP32's"),
    "int8": Accuracy(0.213, _MAP, "assumed", "FP32's; none is published"),
}
_PUBLISHED: Mapping[str, _Published] = {
    "inception-v1": _Published(
        57, 1, 1583, 7.0, 3.2, 224, _accuracy(_TOP1, 0.69778, _TORCHVISION, 0.69826, _TORCHVISION_INT8)
    ),
    "inception-v3": _Published(
        94, 1, 5713, 23.8, 9.0, 299, _accuracy(_TOP1, 0.77294, _TORCHVISION, 0.77176, _TORCHVISION_INT8)
    ),
    "mobilenet-v1": _Published(27, 1, 569, 4.22, 5.0, 224, _accuracy(_TOP1, 0.71676, _MLPERF, 0.70694, _MLPERF)),
    "mobilenet-v3": _Published(
        62, 2, 217, 5.47, 4.4, 224, _accuracy(_TOP1, 0.74042, _TORCHVISION, 0.73004, _TORCHVISION_INT8)
    ),
    "ssd-mobilenet-v1": _Published(
        47, 0, 1237, 6.81, 9.7, 300, _accuracy(_MAP, 0.23, _MLPERF, 0.23594, _MLPERF), _DETECTIONS
    ),
    # MACs and parameters: Open Model Zoo, ssd_mobilenet_v2_coco. 52 layers of MobileNet v2, 8 beyond, 12 of the heads.
    "ssd-mobilenet-v2": _Published(
        72, 0, 1888, 16.8, 12.4, 300, _accuracy(_MAP, 0.22, _TENSORFLOW, 0.22, _TENSORFLOW), _DETECTIONS
    ),
    # torchvision's ssdlite320_mobilenet_v3_large. 62 layers of MobileNet v3, 12 beyond, 24 of the heads.
    "ssd-mobilenet-v3": _Published(98, 0, 583, 3.44, 9.7, 320, _DETECTOR_V3, _DETECTIONS),
}


def names() -> tuple[str, ...]:
    """Networks `job_of` knows."""
    return (*zoo.networks(), *_PUBLISHED)


def require(name: str) -> None:
    """Raises BenchError, naming the nearest, for a network it does not know."""
    if name not in names():
        near = get_close_matches(name, names(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(sorted(names()))}"
        raise BenchError(f"network '{name}' is unknown; {hint}")


def job_of(
    workload: ArenaWorkload,
    precisions: Sequence[str],
    on_step: Callable[[str], None],
    accuracy: Mapping[str, float] | None = None,
) -> Job:
    """A workload as a job, with the accuracy that was recorded of it where there is a record.

    A precision in which a recorded workload never ran is never on offer there, and counts as always wrong.
    Raises BenchError for a network it does not know.
    """
    found = _described(workload, precisions, on_step)
    known = found.accuracy if accuracy is None else {**dict.fromkeys(precisions, 0.0), **accuracy}
    task = Task(
        name=workload.name,
        network=found.network,
        qos_s=workload.qos_s,
        accuracy_target=workload.accuracy_target,
        accuracy={precision: known[precision] for precision in precisions if precision in known},
    )
    request = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in found.inputs}
    return Job(
        task=task,
        bytes_moved={precision: found.elements_moved * WIDTH[precision] for precision in WIDTH},
        up_bytes=sum(map(len, encode_request(request))),
        down_bytes=_answer_bytes(workload.model, found.outputs),
    )


def _described(workload: ArenaWorkload, precisions: Sequence[str], on_step: Callable[[str], None]) -> Described:
    name = workload.model
    if workload.layers is not None:
        return Described(Network(name, **workload.layers.model_dump()), 0, {}, (), ())
    require(name)
    if name in _PUBLISHED:
        return _PUBLISHED[name].described(name)
    model = zoo.prepare(name, precisions, on_step=on_step)
    counts = model.counts
    return Described(
        network=Network(name, counts.conv_layers, counts.fc_layers, counts.rc_layers, counts.macs, model.input_bytes),
        elements_moved=counts.elements_moved,
        accuracy={precision: accuracy.value for precision, accuracy in model.accuracy.items()},
        inputs=model.input_specs,
        outputs=model.output_specs,
    )


def _answer_bytes(name: str, outputs: Sequence[TensorSpec]) -> int:
    pairs = [encode_binary(spec.name, np.zeros(spec.shape, spec.dtype)) for spec in outputs]
    head = {"model_name": name, "id": "0", "outputs": [description for description, _ in pairs]}
    return len(join(head, [elements for _, elements in pairs])[0])
