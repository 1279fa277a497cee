"""The networks there are, ready to run: files by precision, what they are made of, how right they are.

    model = prepare("efficientnet-lite0", ["fp32", "int8"])
    model.files["int8"], model.counts.macs, model.accuracy["int8"]

Nothing is downloaded. What is not in the cache is made first, which takes seconds; see `testbed.models.cache`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.agent.contract import Tensors
from testbed.errors import BenchError
from testbed.models import inputs, onnx_file
from testbed.models.accuracy import Accuracy
from testbed.models.cache import Cache, sha256_of
from testbed.models.counts import WIDTH, Counts, count
from testbed.models.maker import Maker, Network, Step
from testbed.models.networks import efficientnet_lite0, image, mobilebert, mobilenet_v2, resnet50
from testbed.models.onnx_file import TensorSpec

PRECISIONS = tuple(WIDTH)
"""from the most exact to the least"""

_NETWORKS: Mapping[str, Network] = {
    "efficientnet-lite0": Network(efficientnet_lite0.build, image.QUANTISED),
    "mobilebert": Network(mobilebert.build, mobilebert.QUANTISED),
    "mobilenet-v2": Network(mobilenet_v2.build, image.QUANTISED),
    "resnet50": Network(resnet50.build, image.QUANTISED),
}


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A network whose files are at hand. All mappings are by precision."""

    name: str
    files: Mapping[str, Path]
    sha256: Mapping[str, str]
    counts: Counts
    accuracy: Mapping[str, Accuracy]
    input_specs: tuple[TensorSpec, ...]
    output_specs: tuple[TensorSpec, ...]

    @property
    def bytes_moved(self) -> Mapping[str, int]:
        """Bytes of weights and activations one inference moves through memory."""
        return {precision: self.counts.bytes_moved(precision) for precision in self.files}

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
    """Names `prepare` knows."""
    return tuple(_NETWORKS)


def prepare(
    name: str, precisions: Sequence[str], cache: Path | None = None, on_step: Step | None = None
) -> PreparedModel:
    """The network at the precisions asked for, made if need be.

    `cache` is the folder to keep files in (default: `testbed.models.cache.default_folder()`); `on_step` is told, in a
    few words, of each step that takes a while. Raises BenchError when the name or a precision is unknown.
    """
    if name not in _NETWORKS:
        raise BenchError(_unknown("network", name, networks()))
    for precision in precisions:
        if precision not in PRECISIONS:
            raise BenchError(_unknown("precision", precision, PRECISIONS))
    maker = Maker(name, _NETWORKS[name], Cache(cache), on_step or _silent)
    made = {precision: maker.file(precision) for precision in precisions}
    return _prepared(
        name,
        files={precision: artifact.path for precision, artifact in made.items()},
        sha256={precision: artifact.sha256 for precision, artifact in made.items()},
        accuracy={precision: maker.accuracy(precision) for precision in precisions},
    )


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
    return _prepared(
        name,
        files=files,
        sha256={precision: sha256_of(path) for precision, path in files.items()},
        accuracy={p: Accuracy(accuracy[p], "accuracy", "given", "given with the files") for p in files},
    )


def _prepared(
    name: str, files: Mapping[str, Path], sha256: Mapping[str, str], accuracy: Mapping[str, Accuracy]
) -> PreparedModel:
    file = onnx_file.read(files[min(files, key=PRECISIONS.index)])
    return PreparedModel(name, files, sha256, count(file), accuracy, file.inputs, file.outputs)


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"unknown {what} {name!r}: {hint}"


def _silent(_: str) -> None:
    pass
