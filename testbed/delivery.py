"""What the board is given before anything runs on it: the ways to endpoints, networks with their inputs, sessions."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scheduler.contract import Task
from testbed.agent.contract import Tensors
from testbed.config import Bench
from testbed.endpoints import as_request, terms
from testbed.errors import BenchError
from testbed.models import zoo
from testbed.models.cache import Artifact
from testbed.models.forms import form
from testbed.opening import Servers
from testbed.remote import RemoteAgent, RequestFailed

_CHUNK_S = 120.0
"""bound on sending one model file to the board"""
_LOAD_S = 600.0
"""bound on loading a session, which an engine may have to be built for"""


@dataclass(frozen=True, slots=True)
class Freight:
    """A network as the board gets it."""

    files: Mapping[str, Artifact]
    """by precision, or by the form that some processor wants instead"""
    bytes_moved: Mapping[str, int]
    """by precision"""
    inputs: Sequence[Tensors]

    @classmethod
    def of(
        cls,
        model: zoo.PreparedModel,
        inputs: Sequence[Tensors],
        identity: Mapping[str, Any],
        places: Iterable[tuple[str, str]],
        on_step: Callable[[str], None],
    ) -> Freight:
        """What a board of this identity needs to run a model in `places`, (target, precision) each."""
        files = {precision: Artifact(model.files[precision], digest) for precision, digest in model.sha256.items()}
        wanted = identity["forms"]
        names = {wanted.get(target, {}).get(precision) for target, precision in places} - {None}
        made = {name: form(model, name, on_step) for name in sorted(names)}
        return cls(files | {name: file for name, file in made.items() if file is not None}, model.bytes_moved, inputs)


def introduce(agent: RemoteAgent, bench: Bench, servers: Servers) -> None:
    """Make remote targets of the bench's endpoints. Raises BenchError for terms that cannot be had."""
    for name, endpoint in bench.endpoints.items():
        if name in servers.urls:
            url, timeout_s = servers.urls[name], endpoint.timeout_s
            agent.ask("endpoint", name=name, url=url, timeout_s=timeout_s, terms=as_request(terms(name, endpoint)))


def deliver(agent: RemoteAgent, task: Task, freight: Freight) -> None:
    """Send what the board lacks of a task's network, and make the task known under its name."""
    for file in freight.files.values():
        if not agent.ask("has_model", sha256=file.sha256):
            agent.ask("put_model", patience_s=_CHUNK_S, sha256=file.sha256, content=file.path.read_bytes())
    agent.ask(
        "workload",
        name=task.name,
        network=asdict(task.network),
        files={name: file.sha256 for name, file in freight.files.items()},
        bytes_moved=dict(freight.bytes_moved),
        inputs=[_packed(tensors) for tensors in freight.inputs],
        constraints={
            "qos_s": task.qos_s,
            "period_s": task.period_s,
            "accuracy_target": task.accuracy_target,
            "accuracy": dict(task.accuracy),
        },
    )


def load(agent: RemoteAgent, workload: str, target: str, precision: str) -> None:
    """Load a session. Raises BenchError where the target cannot run it."""
    try:
        agent.ask("load", patience_s=_LOAD_S, workload=workload, target=target, precision=precision)
    except RequestFailed as failure:
        raise BenchError(f"workload '{workload}' at {precision} on {target} cannot be measured: {failure}") from None


def _packed(tensors: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    content = io.BytesIO()
    np.savez(content, **dict(tensors))  # type: ignore[arg-type]  # its stub takes allow_pickle for any keyword
    return content.getvalue()
