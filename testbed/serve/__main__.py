"""`python -m testbed.serve --model name=path ...`: what `serve: host` in a bench starts, for this machine alone.

A person starts `testbed serve`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from testbed.serve.engine import OnnxEngine
from testbed.serve.program import named, run
from testbed.serve.server import InferenceServer


def main() -> None:
    """Print `{"url": ...}` once ready; serve until stdin ends or SIGTERM comes."""
    parser = argparse.ArgumentParser(prog="testbed.serve", description="Serve ONNX models over HTTP (KServe v2).")
    parser.add_argument(
        "--model", action="append", type=named, required=True, metavar="NAME=PATH", help="may be repeated"
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen at (default: a free one)")
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime (default: its choice)")
    parser.add_argument(
        "--provider", action="append", help="of ONNX Runtime, CUDAExecutionProvider for one; may be repeated"
    )
    arguments = parser.parse_args()
    try:
        providers = arguments.provider or ["CPUExecutionProvider"]
        engines = {name: OnnxEngine(Path(path), arguments.threads, providers) for name, path in arguments.model}
        server = InferenceServer(engines, port=arguments.port)
    except (OSError, ValueError) as error:
        sys.exit(f"testbed.serve: {error}")
    run(server)


if __name__ == "__main__":
    main()
