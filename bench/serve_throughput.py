"""`testbed serve` beside KServe's Python server: `python -m bench serve_throughput`.

The same model, the same client (ours) on as many threads as there are requests at once, one server after the other at
each concurrency. KServe is installed into an environment that is thrown away; its server needs code of one's own, which
is `bench/kserve_peer.py`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.figure import Figure
from bench.oip_model import NAME, image, save
from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, TargetFailed
from testbed.agent.targets.kserve import RemoteTarget

CONCURRENCY = (1, 8, 32)
SECONDS = 3.0
"""of each measurement"""
PEER = "kserve==0.21.0"
"""the fastest pip-installable server found; the least code of its own"""
_INSTALL_S, _START_S = 600.0, 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What came of asking for a while."""

    per_s: float
    p50_ms: float
    p99_ms: float


def figures() -> Iterator[Figure]:
    """Requests a second and latencies."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "models").mkdir()
        save(folder / "models" / f"{NAME}.onnx")
        servers = dict(zip(("HTTP", "gRPC"), stack.enter_context(_ours(folder / "models")), strict=True))
        try:
            servers["peer"] = stack.enter_context(_peer(folder))
        except (OSError, subprocess.SubprocessError) as error:
            yield Figure(f"{PEER}, gRPC", None, "1/s", None, None, None, f"not measured: {error}")
        for concurrency in CONCURRENCY:
            loads = {name: _load(url, concurrency) for name, url in servers.items()}
            peer = loads.pop("peer", None)
            for name, load in loads.items():
                yield from _figures(f"testbed serve, {name}, {concurrency} at once", load, peer)


def _figures(name: str, load: Load, peer: Load | None) -> Iterator[Figure]:
    how = f"{SECONDS:g} s, 602,112 bytes a request, loopback, client and server on this host"
    beside = None if peer is None else f"{PEER} gRPC {peer.per_s:.0f}/s"
    holds = None if peer is None else load.per_s >= peer.per_s
    yield Figure(name, load.per_s, "1/s", beside, None if peer is None else ">= beside", holds, how)
    for quantile, value_ms, peer_ms in (
        ("p50", load.p50_ms, peer and peer.p50_ms),
        ("p99", load.p99_ms, peer and peer.p99_ms),
    ):
        beside = None if peer_ms is None else f"{PEER} gRPC {peer_ms:.2f} ms"
        yield Figure(f"{name}: {quantile}", value_ms, "ms", beside, None, None, how)


def _load(url: str, concurrency: int) -> Load:
    given = {"image": image()}
    model = Model(NAME.rpartition("-")[0], {}, 0, {}, [])
    target = RemoteTarget(url, MonotonicClock(), 30.0)
    latencies_ms: list[float] = []
    ready, go = threading.Barrier(concurrency + 1), threading.Event()

    def ask() -> None:
        session = target.load(model, "fp32")
        session.warm([given] * 3)
        ready.wait()
        go.wait()
        end_ns = time.monotonic_ns() + round(SECONDS * 1e9)
        while time.monotonic_ns() < end_ns:
            result = session.run(given)
            latencies_ms.append((result.end_ns - result.start_ns) * 1e-6)
        session.close()

    threads = [threading.Thread(target=ask) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    ready.wait(60)
    begun_s = time.monotonic()
    go.set()
    for thread in threads:
        thread.join()
    spent_s = time.monotonic() - begun_s
    p50_ms, p99_ms = (float(value) for value in np.percentile(latencies_ms, [50, 99]))
    return Load(len(latencies_ms) / spent_s, p50_ms, p99_ms)


@contextmanager
def _ours(models: Path) -> Iterator[list[str]]:
    command = [
        sys.executable,
        "-m",
        "testbed",
        "serve",
        str(models),
        "--port",
        "0",
        "--grpc-port",
        "0",
        "--threads",
        "1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield [process.stdout.readline().split()[-1] for _ in range(2)]
        finally:
            process.terminate()


@contextmanager
def _peer(folder: Path) -> Iterator[str]:
    """Its gRPC url, as over HTTP it takes fifty times as long.

    Raises OSError or SubprocessError where it cannot be had.
    """
    home = folder / "venv"
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEER, "onnxruntime"]
    subprocess.run(install, check=True, timeout=_INSTALL_S, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as grpc:
        ports = [str(each.getsockname()[1]) for each in (http, grpc)]
    script = str(Path(__file__).with_name("kserve_peer.py"))
    command = [python, script, *ports, NAME, str(folder / "models" / f"{NAME}.onnx")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"grpc://127.0.0.1:{ports[1]}"
            _await(url)
            yield url
        finally:
            process.kill()


def _await(url: str) -> None:
    session = RemoteTarget(url, MonotonicClock(), 1.0).load(Model(NAME.rpartition("-")[0], {}, 0, {}, []), "fp32")
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        try:
            session.run({"image": image()})
            session.close()
            return
        except TargetFailed:
            time.sleep(0.2)
    raise OSError(f"{PEER} does not answer within {_START_S:g} s")
