"""The models loaded on a virtual board: real outputs, computed once by ONNX Runtime, and what they ask of the law."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed.agent.contract import Model, Tensors
from testbed.agent.targets.kserve_http import encode_request
from testbed.agent.tensors import encode_binary, join
from testbed.virtual.networks import Work, work_of
from testbed.virtual.truth import Request


class Catalogue:
    """Holds on to models and inputs, so that no two inputs ever share an identity."""

    def __init__(self) -> None:
        self._models: dict[str, Model] = {}
        self._outputs: dict[tuple[Path, int], tuple[Tensors, Tensors]] = {}

    def add(self, model: Model) -> None:
        """Know this model by its name."""
        self._models[model.name] = model

    def compute(self, file: Path, inputs: Sequence[Tensors]) -> None:
        """Run a model file on every input not yet known. Raises what ONNX Runtime raises for a file it cannot run."""
        missing = [tensors for tensors in inputs if (file, id(tensors)) not in self._outputs]
        if not missing:
            return
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        for tensors in missing:
            values = session.run(names, dict(tensors))
            self._outputs[file, id(tensors)] = tensors, dict(zip(names, values, strict=True))

    def outputs(self, file: Path, tensors: Tensors) -> Tensors:
        """Raises LookupError for an input that was not computed before."""
        try:
            return self._outputs[file, id(tensors)][1]
        except KeyError:
            raise LookupError(f"no outputs of {file.name} for this input: warm the session with it first") from None

    def request_of(self, name: str) -> Request:
        """What a network asks of processors and of the network. Raises LookupError for one not known."""
        if name not in self._models:
            raise LookupError(f"the virtual board does not know {name}")
        model = self._models[name]
        return Request(
            work={precision: work_in(model, precision) for precision in model.files},
            up_bytes=sum(map(len, encode_request(model.inputs[0]))),
            down_bytes=self._reply_bytes(model),
        )

    def _reply_bytes(self, model: Model) -> int:
        file = next(iter(model.files.values()))
        self.compute(file, model.inputs[:1])
        pairs = [encode_binary(name, tensor) for name, tensor in self.outputs(file, model.inputs[0]).items()]
        head = {"model_name": model.name, "id": "0", "outputs": [description for description, _ in pairs]}
        return len(join(head, [elements for _, elements in pairs])[0])


def work_in(model: Model, precision: str) -> Work:
    """Raises ValueError when the model has no file at this precision."""
    if precision not in model.files:
        raise ValueError(f"{model.name} has no {precision} file: it has {', '.join(model.files)}")
    return work_of(model.name, precision, model.macs, model.bytes_moved[precision])
