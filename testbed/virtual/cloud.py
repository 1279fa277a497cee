"""`python -m testbed.virtual.cloud`: a real HTTP server with real outputs, as slow as a virtual server's accelerator.

Faults: it can hang (accept requests and never reply), die, or refuse connections; after so many replies, or on SIGUSR1.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Tensors
from testbed.serve.engine import Engine, OnnxEngine, TensorSpec
from testbed.serve.program import named, run
from testbed.serve.server import InferenceServer
from testbed.virtual.machines import MACHINES, Machine
from testbed.virtual.namespace import enter


class RememberingEngine:
    """Computes each distinct input once, and hands the outputs out again afterwards."""

    def __init__(self, engine: Engine, most: int = 4096) -> None:
        """Remembers the outputs of the `most` inputs used last."""
        self._engine = engine
        self._most = most
        self._known: OrderedDict[bytes, Mapping[str, NDArray[Any]]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def platform(self) -> str:
        return self._engine.platform

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        return self._engine.inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        return self._engine.outputs

    def infer(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        key = _digest(inputs)
        with self._lock:  # held while computing: a second request for the same input waits for the first
            if key not in self._known:
                self._known[key] = self._engine.infer(inputs)
            self._known.move_to_end(key)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
            return self._known[key]


def _digest(inputs: Tensors) -> bytes:
    digest = hashlib.sha1(usedforsecurity=False)
    for name in sorted(inputs):
        tensor = np.ascontiguousarray(inputs[name])
        digest.update(f"{name} {tensor.dtype} {tensor.shape} ".encode())
        digest.update(tensor.data)
    return digest.digest()


class Pace:
    """Holds each reply back until the virtual machine would have sent it."""

    def __init__(self, machine: Machine, work: Mapping[str, tuple[float, str]], seed: int) -> None:
        """`work`: a model's MACs and precision by its served name. Raises ValueError for a precision not known."""
        for macs, precision in work.values():
            machine.mean_s(macs, precision)
        self._machine = machine
        self._work = work
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._clock = MonotonicClock()

    def __call__(self, model: str, received_ns: int) -> int:
        """Returns the machine's time, ns."""
        macs, precision = self._work[model]
        with self._lock:
            (service_s,) = self._machine.service_s(self._rng, macs, precision, 1)
        service_ns = round(float(service_s) * 1e9)
        self._clock.sleep_until(received_ns + service_ns)
        return service_ns


class Fault:
    """What goes wrong, once `after` requests have been answered or when `strike` is called."""

    def __init__(self, kind: str | None, after: int | None) -> None:
        """`kind`: "hang", "die" or "refuse"; None for a server in health."""
        self._kind = kind
        self._left = after if kind is not None else None
        self._hangs = threading.Event()
        self._lock = threading.Lock()

    def check(self, server: InferenceServer) -> None:
        """To be called with each request, before it is answered."""
        with self._lock:
            due = self._left == 0
            if self._left:
                self._left -= 1
        if due:
            self.strike(server)
        if self._hangs.is_set():
            server.stopping.wait()
            raise ConnectionAbortedError("left hanging to the end")

    def strike(self, server: InferenceServer) -> None:
        """Let it happen now."""
        if self._kind == "die":
            os._exit(1)
        elif self._kind == "refuse":
            server.refuse()
        elif self._kind == "hang":
            self._hangs.set()


def main() -> None:
    """Print `{"url": ...}` once ready; serve until stdin ends or SIGTERM comes."""
    arguments = _arguments()
    if arguments.namespace is not None:
        enter(arguments.namespace)
    fault = Fault(arguments.fault, arguments.after)
    try:
        macs = {name: float(count) for name, count in arguments.macs}
        work = {name: (macs[name], name.rpartition("-")[2]) for name, _ in arguments.model}
        pace = Pace(MACHINES[arguments.machine], work, arguments.seed)
        engines = {name: RememberingEngine(OnnxEngine(Path(path), threads=1)) for name, path in arguments.model}

        def before_reply(model: str, received_ns: int) -> int:
            fault.check(server)
            return pace(model, received_ns)

        walled = arguments.namespace is not None
        server = InferenceServer(engines, arguments.host, arguments.port, before_reply=before_reply, walled=walled)
    except KeyError as error:
        sys.exit(f"testbed.virtual.cloud: no --macs for {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"testbed.virtual.cloud: {error}")
    signal.signal(signal.SIGUSR1, lambda *_: fault.strike(server))
    run(server)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="testbed.virtual.cloud", description="Serve ONNX models as slowly as a virtual machine would."
    )
    parser.add_argument("--machine", choices=sorted(MACHINES), default="a30", help="the machine to be")
    parser.add_argument(
        "--model", action="append", type=named, required=True, metavar="NAME-PRECISION=PATH", help="may be repeated"
    )
    parser.add_argument(
        "--macs", action="append", type=named, default=[], metavar="NAME-PRECISION=COUNT", help="one for each model"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the spread of service times")
    parser.add_argument("--namespace", type=Path, help="file of the network namespace to serve in (default: this one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen at (default: a free one)")
    parser.add_argument("--fault", choices=("hang", "die", "refuse"), help="what SIGUSR1, or --after, brings about")
    parser.add_argument("--after", type=int, help="requests answered before the fault strikes by itself")
    return parser.parse_args()


if __name__ == "__main__":
    main()
