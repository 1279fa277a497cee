"""How right a network is at each precision, and how that is known.

Random weights know nothing, so for networks that carry them the accuracy is taken from publications on the trained
network of the same name (`testbed.models.published`). Where the weights are trained it is measured: how often the
answer is the label's where there are labels, else how often it is the FP32 network's. It is measured on the
controller's CPU; one without half-precision arithmetic sees at fp16 the rounding of weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

from testbed.agent.contract import Tensors
from testbed.errors import BenchError

Provenance = Literal["measured", "published", "assumed", "given"]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One accuracy with what it means and where it comes from."""

    value: float
    """in [0, 1]"""
    metric: str
    provenance: Provenance
    source: str


def top1(path: Path, inputs: Sequence[Tensors]) -> list[int]:
    """The class with the highest score for each input, in the first output, run on this host's CPU.

    Raises BenchError when ONNX Runtime cannot run the file.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to others in between
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise BenchError(f"ONNX Runtime {onnxruntime.__version__} cannot run {path}: {error}") from error
    return [int(np.argmax(session.run(None, tensors)[0])) for tensors in inputs]


def agreement(classes: Sequence[int], reference: Sequence[int], source: str) -> Accuracy:
    """How often two runs over the same inputs name the same class."""
    return Accuracy(_share(classes, reference), "top-1 agreement with FP32", "measured", source)


def correctness(classes: Sequence[int], labels: Sequence[int], source: str) -> Accuracy:
    """How often the class named is the label."""
    return Accuracy(_share(classes, labels), "top-1 on labelled inputs", "measured", source)


def _share(classes: Sequence[int], others: Sequence[int]) -> float:
    return float(np.mean(np.equal(classes, others)))
