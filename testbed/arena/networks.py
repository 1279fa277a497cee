"""What networks ask of a board, for worlds that never run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scheduler.contract import Network, Task
from testbed.agent.targets.kserve_http import encode_request
from testbed.agent.tensors import encode_binary, join
from testbed.arena.config import ArenaWorkload
from testbed.arena.contract import Job
from testbed.models import zoo
from testbed.models.counts import WIDTH
from testbed.models.onnx_file import TensorSpec


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
    name = workload.model
    if workload.layers is not None:
        network, elements_moved = Network(name, **workload.layers.model_dump()), 0
        found: dict[str, float] = {}
        inputs: Sequence[TensorSpec] = ()
        outputs: Sequence[TensorSpec] = ()
    else:
        model = zoo.describe(name, precisions, on_step=on_step)
        counts, elements_moved = model.counts, model.counts.elements_moved
        network = Network(name, counts.conv_layers, counts.fc_layers, counts.rc_layers, counts.macs, model.input_bytes)
        found = {precision: known.value for precision, known in model.accuracy.items()}
        inputs, outputs = model.input_specs, model.output_specs
    known = found if accuracy is None else {**dict.fromkeys(precisions, 0.0), **accuracy}
    task = Task(
        name=workload.name,
        network=network,
        qos_s=workload.qos_s,
        accuracy_target=workload.accuracy_target,
        accuracy={precision: known[precision] for precision in precisions if precision in known},
    )
    request = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in inputs}
    return Job(
        task=task,
        bytes_moved={precision: elements_moved * WIDTH[precision] for precision in WIDTH},
        up_bytes=sum(map(len, encode_request(request))),
        down_bytes=_answer_bytes(name, outputs),
    )


def _answer_bytes(name: str, outputs: Sequence[TensorSpec]) -> int:
    pairs = [encode_binary(spec.name, np.zeros(spec.shape, spec.dtype)) for spec in outputs]
    head = {"model_name": name, "id": "0", "outputs": [description for description, _ in pairs]}
    return len(join(head, [elements for _, elements in pairs])[0])
