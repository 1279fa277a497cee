"""`python -m bench.gpu_check [--out FOLDER]`: the TensorRT backend on this machine's NVIDIA GPU.

With a GPU and TensorRT: what every target answers against ONNX Runtime on the same file, its latency against the same
engine driven bare (and against trtexec where it is installed), and what 10,000 runs and 20 loads leave behind. With
CUDA alone: the memory, streams, events and graphs that sessions are made of. The figures are written, with their
provenance, to a file that belongs in the repository.

Exit status: 0 all goals hold, 1 one is missed, 2 nothing could run.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from bench.figure import Figure
from bench.gpu_engines import engine_figures
from testbed.agent.contract import CannotLoad
from testbed.agent.targets.tensorrt.cuda import Cuda, CudaError, open_cuda
from testbed.agent.targets.tensorrt.driver import Gpu, probe
from testbed.agent.targets.tensorrt.graph import Graph
from testbed.agent.targets.tensorrt.library import open_library

OUTPUT = Path("docs/measured")
RUNS = 10_000
COPY_BYTES = 602_112
"""a float32 photo of 224x224"""


def main(arguments: Sequence[str]) -> int:
    """Check what there is; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_check", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUTPUT, help="folder for the figures")
    out: Path = parser.parse_args(arguments).out
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        gpu, cuda = probe(), open_cuda()
    except (CannotLoad, CudaError) as error:
        print(f"the GPU cannot be checked here: {error}", file=sys.stderr)
        return 2
    provenance = f"{gpu.name} (SM {gpu.sm}), CUDA {_cuda_version(gpu)} through {type(cuda).__name__}"
    try:
        figures = list(_cuda_figures(cuda, provenance))
    except CudaError as error:
        print(f"CUDA fails: {error}", file=sys.stderr)
        return 2
    try:
        library = open_library()
        provenance += f", TensorRT {library.version}"
        figures += engine_figures(library, gpu, cuda, provenance, RUNS)
    except CannotLoad as error:
        print(f"only CUDA was checked: {error}", file=sys.stderr)
    cuda.close()
    for figure in figures:
        print(f"{figure.name}: {figure.value:.6g} {figure.unit} ({figure.goal}): {'yes' if figure.holds else 'NO'}")
    print(_write(out, gpu, provenance, figures))
    return 0 if all(figure.holds for figure in figures) else 1


def _cuda_version(gpu: Gpu) -> str:
    """12060 is 12.6, as cuda.h has it."""
    return f"{gpu.cuda_version // 1000}.{gpu.cuda_version % 1000 // 10}"


def _cuda_figures(cuda: Cuda, provenance: str) -> Iterator[Figure]:
    """A round trip of a photo's bytes, plain and as a graph, over and over."""
    wrong, lost_bytes = 0, 0
    with cuda.current(), ExitStack() as owned:
        _round_trip(cuda, owned)  # what CUDA itself keeps from its first use on is no leak
        before_bytes = cuda.free_bytes()
        with ExitStack() as mine:
            there, back, queue, launch = _round_trip(cuda, mine)
            for run in range(RUNS):
                there[:] = run % 251
                (launch if run % 2 else queue)()
                wrong += int(back[0] != run % 251 or back[-1] != run % 251)
        lost_bytes = before_bytes - cuda.free_bytes()
    yield Figure("copies there and back that came wrong", wrong, f"of {RUNS}", None, "0", wrong == 0, provenance)
    yield Figure("device memory they left taken", lost_bytes, "bytes", None, "0", lost_bytes == 0, provenance)


def _round_trip(cuda: Cuda, owned: ExitStack) -> tuple[Any, Any, Any, Any]:
    """Host memory both ways, and two ways to copy one to the other through the device, waiting for it."""

    def mine(made: tuple[Any, Any]) -> Any:
        owned.callback(made[1])
        return made[0]

    there, back, address = mine(cuda.pinned(COPY_BYTES)), mine(cuda.pinned(COPY_BYTES)), mine(cuda.allocate(COPY_BYTES))
    stream, done = mine(cuda.stream()), mine(cuda.event())

    def copy() -> None:
        cuda.upload(address, there, stream)
        cuda.download(back, address, stream)

    def after(act: Any) -> Any:
        def run() -> None:
            act()
            cuda.record(done, stream)
            cuda.wait(done)

        return run

    graph = Graph(stream, copy)
    owned.callback(graph.close)
    return there, back, after(copy), after(graph.launch)


def _write(out: Path, gpu: Gpu, provenance: str, figures: Sequence[Figure]) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"gpu-check-{re.sub(r'[^a-z0-9]+', '-', gpu.name.lower()).strip('-')}.json"
    record = {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "on": provenance,
        "host": {"machine": platform.machine(), "system": platform.platform(), "python": platform.python_version()},
        "numpy": np.__version__,
        "figures": [figure.as_json() for figure in figures],
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
