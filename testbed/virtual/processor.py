"""A processor of a virtual board, as the agent runs models on it: real outputs, after as long as the law says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.agent.contract import Model, Result, Span, Tensors
from testbed.virtual.catalogue import Catalogue, work_in
from testbed.virtual.networks import Work
from testbed.virtual.profile import Processor

Infer = Callable[[str, Work, str], tuple[int, int]]
"""lives through one inference on a processor at a precision; start and end on the board's clock"""


class VirtualTarget:
    """Implements `Target`."""

    def __init__(self, name: str, processor: Processor, catalogue: Catalogue, infer: Infer) -> None:
        self._name = name
        self._processor = processor
        self._catalogue = catalogue
        self._infer = infer

    def load(self, model: Model, precision: str) -> VirtualSession:
        """Raises ValueError when the processor does not run that precision, or the model has no file of it."""
        work = work_in(model, precision)
        self._processor.anchor(self._name, precision, work.kind)
        self._catalogue.add(model)
        return VirtualSession(model.files[precision], self._catalogue, lambda: self._infer(self._name, work, precision))


class VirtualSession:
    """Implements `Session`."""

    def __init__(self, file: Path, catalogue: Catalogue, infer: Callable[[], tuple[int, int]]) -> None:
        self._file = file
        self._catalogue = catalogue
        self._infer = infer

    def warm(self, inputs: Sequence[Tensors]) -> None:
        """Have ONNX Runtime compute the outputs that `run` hands out."""
        self._catalogue.compute(self._file, inputs)

    def run(self, inputs: Tensors) -> Result:
        """One inference. Raises LookupError for an input the session was not warmed with."""
        outputs = self._catalogue.outputs(self._file, inputs)
        start_ns, end_ns = self._infer()
        return Result(outputs, start_ns, end_ns, (Span("compute", start_ns, end_ns),))

    def close(self) -> None:
        """Nothing is held."""
