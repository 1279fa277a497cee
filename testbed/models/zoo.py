"""The networks there are, ready to run: files by precision, what they are made of, how right they are.

    model = prepare("efficientnet-lite0", ["fp32", "int8"])
    model.files["int8"], model.counts.macs, model.accuracy["int8"]

Nothing is downloaded. What is not in the cache is made first, which takes seconds; see `testbed.models.cache`. Beside
those drawn here there are the user's own, by the name they were registered under; see `testbed.models.registry`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copyfile

import onnx

from testbed.agent.contract import Tensors
from testbed.errors import BenchError
from testbed.models import examples, inputs, onnx_file
from testbed.models.accuracy import Accuracy, correctness, top1
from testbed.models.cache import Cache, sha256_of
from testbed.models.counts import WIDTH, Counts, count
from testbed.models.maker import SYMMETRIC, Maker, Network, Step
from testbed.models.networks import (
    efficientnet_lite0,
    image,
    inception_v1,
    inception_v3,
    mobilebert,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    resnet50,
    ssd_mobilenet_v1,
    ssd_mobilenet_v2,
    ssd_mobilenet_v3,
)
from testbed.models.onnx_file import TensorSpec
from testbed.models.published import PUBLISHED
from testbed.models.registry import Registered, Registry

PRECISIONS = tuple(WIDTH)
"""from the most exact to the least"""
FORMS = (*PRECISIONS, SYMMETRIC)
"""precisions, and forms of them that only some targets want"""

_BUILDERS: Mapping[str, Callable[[], onnx.ModelProto]] = {
    "efficientnet-lite0": efficientnet_lite0.build,
    "inception-v1": inception_v1.build,
    "inception-v3": inception_v3.build,
    "mobilebert": mobilebert.build,
    "mobilenet-v1": mobilenet_v1.build,
    "mobilenet-v2": mobilenet_v2.build,
    "mobilenet-v3": mobilenet_v3.build,
    "resnet50": resnet50.build,
    "ssd-mobilenet-v1": ssd_mobilenet_v1.build,
    "ssd-mobilenet-v2": ssd_mobilenet_v2.build,
    "ssd-mobilenet-v3": ssd_mobilenet_v3.build,
}
_QUANTISED: Mapping[str, Sequence[str]] = {"mobilebert": mobilebert.QUANTISED}
"""where they are not the image networks'"""


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A network whose files are at hand."""

    name: str
    files: Mapping[str, Path]
    """by form"""
    sha256: Mapping[str, str]
    """by form"""
    counts: Counts
    accuracy: Mapping[str, Accuracy]
    """by precision"""
    input_specs: tuple[TensorSpec, ...]
    output_specs: tuple[TensorSpec, ...]

    @property
    def bytes_moved(self) -> Mapping[str, int]:
        """Bytes of weights and activations one inference moves through memory, by precision."""
        return {precision: self.counts.bytes_moved(precision) for precision in self.accuracy}

    @property
    def input_bytes(self) -> int:
        """Bytes of one request's tensors."""
        return sum(spec.nbytes for spec in self.input_specs)

    @property
    def output_bytes(self) -> int:
        """Bytes of one answer's tensors."""
        return sum(spec.nbytes for spec in self.output_specs)

    def inputs(self, count: int = 32, seed: int = 0) -> list[Tensors]:
        """`count` different sets of inputs; see `testbed.models.inputs`."""
        return inputs.for_specs(self.input_specs, count, seed)


def networks() -> tuple[str, ...]:
    """Names of the networks that are drawn here."""
    return tuple(_BUILDERS)


def prepare(
    name: str,
    forms: Sequence[str],
    cache: Path | None = None,
    on_step: Step | None = None,
    registry: Registry | None = None,
) -> PreparedModel:
    """The network in the forms asked for (precisions, and `SYMMETRIC`), made if need be.

    `cache` is the folder to keep files in (default: `testbed.models.cache.default_folder()`); `on_step` is told, in a
    few words, of each step that takes a while. Raises BenchError when the name or a form is unknown.
    """
    for form in forms:
        if form not in FORMS:
            raise BenchError(_unknown("precision", form, FORMS))
    return _prepared(name, _maker(name, cache, on_step, registry), forms)


def _prepared(name: str, maker: Maker, forms: Sequence[str]) -> PreparedModel:
    made = {form: maker.file(form) for form in forms}
    described = maker.description()
    return PreparedModel(
        name,
        files={form: artifact.path for form, artifact in made.items()},
        sha256={form: artifact.sha256 for form, artifact in made.items()},
        counts=described.counts,
        accuracy={form: maker.accuracy(form) for form in forms if form in PRECISIONS},
        input_specs=described.inputs,
        output_specs=described.outputs,
    )


def prepare_file(
    source: Path, forms: Sequence[str], cache: Path | None = None, on_step: Step | None = None
) -> PreparedModel:
    """A file of the user's own that is not registered, FP32, in the forms asked for, as `prepare` has them."""
    network = _own(source, {}, {"onnx": sha256_of(source)})
    return _prepared(source.stem, Maker(source.stem, network, Cache(cache), on_step or _silent), forms)


def describe(
    name: str,
    precisions: Sequence[str],
    cache: Path | None = None,
    on_step: Step | None = None,
    registry: Registry | None = None,
) -> PreparedModel:
    """The network without its files, and its accuracy at the precisions asked for. Raises BenchError as `prepare`."""
    maker = _maker(name, cache, on_step, registry)
    described = maker.description()
    accuracy = {precision: maker.accuracy(precision) for precision in precisions}
    return PreparedModel(name, {}, {}, described.counts, accuracy, described.inputs, described.outputs)


def known_accuracy(name: str, registry: Registry | None = None) -> Mapping[str, Accuracy]:
    """What is published, or was measured on labelled inputs; empty where agreement with FP32 is measured instead."""
    registry = registry or Registry()
    require(name, registry)
    registered = registry.find(name)
    return registered.accuracy if registered else PUBLISHED.get(name, {})


def require(name: str, registry: Registry | None = None) -> None:
    """Raises BenchError, naming the nearest, for a network that is neither drawn here nor registered."""
    registry = registry or Registry()
    if name not in _BUILDERS and registry.find(name) is None:
        raise BenchError(_unknown("network", name, (*networks(), *registry.names())))


def measure(model: PreparedModel, labelled: examples.Examples, source: str) -> dict[str, Accuracy]:
    """Precision -> how often the model is right on labelled inputs; `source` says what they are."""
    return {
        precision: correctness(top1(path, labelled.tensors), labelled.labels, source)
        for precision, path in model.files.items()
        if precision in PRECISIONS
    }


def _maker(name: str, cache: Path | None, on_step: Step | None, registry: Registry | None) -> Maker:
    registry = registry or Registry()
    require(name, registry)
    registered = None if name in _BUILDERS else registry.find(name)
    network = _drawn(name) if registered is None else _registered(registered, registry)
    return Maker(name, network, Cache(cache), on_step or _silent)


def _drawn(name: str) -> Network:
    def write(path: Path) -> None:
        onnx.save(_BUILDERS[name](), str(path))

    return Network(write, _QUANTISED.get(name, image.QUANTISED), PUBLISHED.get(name, {}))


def _registered(model: Registered, registry: Registry) -> Network:
    source, calibration = registry.onnx(model), registry.calibration(model)

    def own() -> Sequence[Tensors]:
        assert calibration is not None
        return examples.read(calibration, onnx_file.read(source).inputs, labelled=False).tensors

    made_of = {"onnx": model.sha256, "calibration": model.calibration}
    return _own(source, model.accuracy, made_of, None if calibration is None else own)


def _own(
    source: Path,
    known: Mapping[str, Accuracy],
    made_of: Mapping[str, object],
    calibration: Callable[[], Sequence[Tensors]] | None = None,
) -> Network:
    return Network(partial(copyfile, source), (*image.QUANTISED, "MatMul"), known, made_of, calibration)


def from_files(name: str, files: Mapping[str, Path], accuracy: Mapping[str, float]) -> PreparedModel:
    """A model of the user's own: ONNX files by precision, with the accuracy in [0, 1] of each.

    Raises BenchError when a file is missing, unreadable or not of fixed shape, when an accuracy is missing, or when the
    files do not take and give the same tensors.
    """
    for precision in files:
        if precision not in PRECISIONS:
            raise BenchError(_unknown("precision", precision, PRECISIONS))
        if precision not in accuracy:
            raise BenchError(f"model {name!r}: give the accuracy at {precision} too")
    specs = {precision: onnx_file.read(path) for precision, path in files.items()}
    first, *others = specs
    for other in others:
        if (specs[other].inputs, specs[other].outputs) != (specs[first].inputs, specs[first].outputs):
            raise BenchError(
                f"model {name!r}: {files[other]} and {files[first]} take or give different tensors; "
                "export all precisions with the same inputs and outputs"
            )
    if not count(onnx_file.read(next(iter(files.values())))).macs:
        raise BenchError(f"model {name!r} multiplies nothing: it has no convolution, matrix product or recurrent layer")
    file = onnx_file.read(files[min(files, key=PRECISIONS.index)])
    return PreparedModel(
        name,
        files=files,
        sha256={precision: sha256_of(path) for precision, path in files.items()},
        counts=count(file),
        accuracy={p: Accuracy(accuracy[p], "accuracy", "given", "given with the files") for p in files},
        input_specs=file.inputs,
        output_specs=file.outputs,
    )


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"unknown {what} {name!r}: {hint}"


def _silent(_: str) -> None:
    pass
