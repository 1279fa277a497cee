"""A remote inference through a session, beside NVIDIA's client bare: `python -m bench remote_round_trip`.

Both go from numpy to numpy over a kept connection, by turns, to one server in a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bench.figure import Figure
from bench.oip_model import NAME, image, save
from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model
from testbed.agent.targets.kserve import RemoteTarget
from testbed.farend import start_far_end

WARM, ROUNDS = 50, 1500
"""round trips of each before counting, and counted"""
MOST = 1.05
"""how many times the bare client's time ours may take"""


def figures() -> list[Figure]:
    """The medians and their ratio."""
    name, goal = "remote round trip, 602,112 bytes", f"<= {MOST:g} of tritonclient's"
    try:
        import tritonclient.http  # noqa: F401
    except ImportError:
        return [
            Figure(name, None, "us", "tritonclient.http", goal, None, "not measured: pip install tritonclient[http]")
        ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mean.onnx"
        save(path)
        with start_far_end("testbed.serve", [f"--model={NAME}={path}", "--threads=1"]) as server:
            ours_us, bare_us = _by_turns(str(server.ready["url"]))
    how = f"medians of {ROUNDS} by turns, loopback, this host"
    return [
        Figure(name, ours_us, "us", f"tritonclient.http {bare_us:.0f} us", None, None, how),
        Figure(
            f"{name}: of tritonclient's", ours_us / bare_us, "1", "1", f"<= {MOST:g}", ours_us <= MOST * bare_us, how
        ),
    ]


def _by_turns(url: str) -> tuple[float, float]:
    """Microseconds, ours and the bare client's."""
    given = image()
    expected = given.mean((2, 3))
    session = RemoteTarget(url, MonotonicClock(), 10.0).load(Model("mean", {}, 0, {}, []), "fp32")
    session.warm([{"image": given}])
    bare, close = _bare(url)
    ways = (lambda: session.run({"image": given}).outputs["mean"], lambda: bare(given))
    spent_us: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM + ROUNDS):
        for way, kept in zip(ways, spent_us, strict=True):
            begun_ns = time.perf_counter_ns()
            got = way()
            took_ns = time.perf_counter_ns() - begun_ns
            if number >= WARM:
                kept.append(took_ns * 1e-3)
            elif not np.allclose(got, expected, rtol=1e-4):
                raise RuntimeError("the outputs are wrong")
    session.close()
    close()
    return median(spent_us[0]), median(spent_us[1])


def _bare(url: str) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.float32]], Callable[[], None]]:
    from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

    client = InferenceServerClient(url.removeprefix("http://"))

    def infer(given: NDArray[np.float32]) -> NDArray[np.float32]:
        sent = InferInput("image", list(given.shape), "FP32")
        sent.set_data_from_numpy(given)
        return client.infer(NAME, [sent], outputs=[InferRequestedOutput("mean")]).as_numpy("mean")

    return infer, client.close
