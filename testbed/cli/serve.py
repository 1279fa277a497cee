"""`testbed serve`: the endpoint a person starts on a laptop, a server or a second board."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from testbed.endpoints import checked_token, token_in
from testbed.errors import BenchError
from testbed.serve import InferenceServer, Limits, OnnxEngine
from testbed.serve.access import is_loopback, tls_context
from testbed.serve.grpc_service import GrpcService
from testbed.serve.repository import models_in

_LIMITS = Limits()


def serve(
    models: Annotated[Path, typer.Argument(help="A folder with NAME.onnx or NAME/1/model.onnx in it.")],
    host: Annotated[str, typer.Option(help="Where to listen. Default: this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Of HTTP; 0 takes a free one.", min=0, max=65535)] = 8000,
    grpc_port: Annotated[int | None, typer.Option(help="Serve gRPC there too.", min=0, max=65535)] = None,
    token_file: Annotated[Path | None, typer.Option(help="A file that holds the token clients must bring.")] = None,
    token_env: Annotated[str | None, typer.Option(help="The environment variable that holds it.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="This server's certificate in PEM, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key in PEM, without a password.")] = None,
    threads: Annotated[int, typer.Option(help="Of ONNX Runtime for one inference; 0: its choice.", min=0)] = 0,
    provider: Annotated[list[str] | None, typer.Option(help="Of ONNX Runtime, such as CUDAExecutionProvider.")] = None,
    computing: Annotated[int, typer.Option(help="Inferences computed at once.", min=1)] = _LIMITS.computing,
    waiting: Annotated[int, typer.Option(help="Inferences that may wait; the next is told 503.", min=0)] = (
        _LIMITS.waiting
    ),
    connections: Annotated[int, typer.Option(help="Connections at once.", min=1)] = _LIMITS.connections,
    max_request_mb: Annotated[int, typer.Option(help="Largest request, MiB.", min=1, max=4096)] = 256,
) -> None:
    """Serve the ONNX models of a folder over the Open Inference Protocol, until Ctrl-C."""
    screen = Console(highlight=False, soft_wrap=True)
    if token_file is not None and token_env is not None:
        raise typer.BadParameter("give the token by --token-file or by --token-env, not both")
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together")
    token = token_in("--token-file", token_file) if token_file is not None else None
    if token_env is not None:
        token = checked_token(f"the environment variable {token_env}", os.environ.get(token_env))
    limits = Limits(max_request_mb << 20, computing, waiting, connections)
    pair = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
    with ExitStack() as stack:
        try:
            files = models_in(models)
            tls = None if pair is None else tls_context(*pair)
            providers = provider or ["CPUExecutionProvider"]
            engines = {name: OnnxEngine(file.path, threads, providers) for name, file in files.items()}
            versions = {name: file.version for name, file in files.items()}
            server = stack.enter_context(
                InferenceServer(engines, host, port, limits, token=token, tls=tls, versions=versions)
            )
            urls = [server.url]
            if grpc_port is not None:
                calls = computing + waiting
                grpc = GrpcService(server.models, host, grpc_port, limits.request_bytes, calls, token, pair)
                urls.append(stack.enter_context(grpc).url)
        except ValueError as error:
            raise BenchError(str(error)) from None
        except OSError as error:
            raise BenchError(_cannot_listen(host, port, error)) from None
        for url in urls:
            screen.print(f"serving at {url}", markup=False)
        for name, file in files.items():
            screen.print(f"  {name}, version {file.version}: {file.path}", markup=False)
        if token is not None and tls is None and not is_loopback(host):
            screen.print("without TLS the token and all tensors pass the network in clear", style="yellow")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            screen.print("ending", markup=False)


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} at {host} is taken by another program: end it, or give another --port"
    if error.errno == errno.EACCES:
        return f"port {port} is for root only: give a --port of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: give one with --host"
    return f"cannot listen at {host}, port {port}: {error.strerror or error}"
