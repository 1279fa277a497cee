"""Looks a bench over before it is trusted: wiring, the board's agent, clocks, the meter, endpoints, disk."""

from __future__ import annotations

import math
import shutil
import urllib.request
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import numpy as np

from power import ClockFit, PowerError
from testbed import power_switch
from testbed.agent.shaping.survey import how_to_install
from testbed.agent.targets.terms import tls_context
from testbed.alignment import align
from testbed.config import Bench, Endpoint
from testbed.config.power_switch import PowerSwitchSettings
from testbed.deploy.checks import judge, survey
from testbed.endpoints import terms
from testbed.errors import BenchError, TestbedError
from testbed.finding import Finding
from testbed.meter import Meter
from testbed.network.conditions import Link, condition_at
from testbed.network.netem import RATE_ONLY_LABEL
from testbed.opening import OpenBench, open_bench
from testbed.wiring import wiring_problems

LOOK_S = 1.0
"""how long the meter is watched"""
LOOK_DBM = -68.0
"""the signal that a link is tried with"""
LEAST_FREE_BYTES = 1 << 30
GUARD_S = 0.015
"""a suite's own, where it says nothing else"""
CLOCK_WANTED_S = 0.5e-3
"""a mark known worse than this widens the energy of short windows"""
STEP_U = 5.0
"""standard uncertainties by which a clock may seem to have moved"""


def examine(bench: Bench) -> Iterator[Finding]:
    """Findings as they come; a wrong one may make later ones impossible, and they are then left out."""
    if problems := wiring_problems(bench):
        yield from (Finding("wiring", "wrong", problem) for problem in problems)
        return
    yield Finding("wiring", "ok", _wiring(bench))
    yield _disk()
    for name, endpoint in bench.endpoints.items():
        yield _endpoint(name, endpoint)
    if bench.board.power is not None:
        yield _power_switch(bench.board.power)
    try:
        if bench.board.agent.via != "local":
            yield from judge(survey(bench.board.agent))
        with open_bench(bench, seed=0) as opened:
            yield _agent(opened)
            yield from (Finding("board files", "doubtful", label) for label in opened.identity["labels"])
            if opened.identity["knobs"]:
                yield from _permissions(opened.agent.ask("locked"))
            yield _board_clock(opened)
            before, begun_ns = opened.board_clock.fit, opened.now_ns()
            if opened.link is not None:
                yield _link(opened.link)
            if opened.monitor is None:
                yield Finding("monitor", "doubtful", "none: energy will not be measured")
            else:
                with Meter(opened.monitor) as meter:
                    yield from _meter(meter, opened)
                    yield _marks(meter, opened)
            yield _clock_step(opened, before, begun_ns)
    except (TestbedError, PowerError) as error:
        yield Finding("bench", "wrong", str(error))


def _wiring(bench: Bench) -> str:
    draw = bench.board.draw
    known = "the board's limits are not known: name its model" if draw is None else draw.source
    return f"{bench.board.supply_voltage_v:g} V supply; {known}"


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    verdict: Literal["ok", "doubtful"] = "ok" if free >= LEAST_FREE_BYTES else "doubtful"
    return Finding("disk", verdict, f"{free / 1e9:.1f} GB free here; an hour at 5 kHz takes about 0.5 GB")


def _endpoint(name: str, endpoint: Endpoint) -> Finding:
    what = f"endpoint {name}"
    if endpoint.url is None:
        return Finding(what, "ok", f"will be started on this host ({endpoint.serve})")
    try:
        asked = terms(name, endpoint)
    except BenchError as error:
        return Finding(what, "wrong", str(error))
    if endpoint.url.startswith("grpc"):
        return Finding(what, "doubtful", f"{endpoint.url} speaks gRPC: it is asked when a suite loads its models")
    request = urllib.request.Request(f"{endpoint.url}/v2/health/ready")
    if asked.token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {asked.token}")
    try:
        context = tls_context(asked) if endpoint.url.startswith("https") else None
        with urllib.request.urlopen(request, timeout=endpoint.timeout_s, context=context) as answer:
            return Finding(what, "ok", f"{endpoint.url} is ready (HTTP {answer.status})")
    except (OSError, ValueError, HTTPException) as error:
        return Finding(what, "wrong", f"{endpoint.url} does not answer /v2/health/ready: {error}; start the server")


def _agent(opened: OpenBench) -> Finding:
    hello, identity = opened.agent.hello, opened.identity
    processors = ", ".join(f"{name} ({', '.join(p)})" for name, p in identity["processors"].items())
    return Finding(
        "agent", "ok", f"{identity['model']}: {processors}; Python {hello['python']}, numpy {hello['numpy']}"
    )


def _permissions(locked: Sequence[str]) -> Iterator[Finding]:
    """What the agent's user may not set, with the command that grants it."""
    files = [path for path in locked if path != "power mode"]
    if files:
        yield Finding(
            "permissions",
            "doubtful",
            f"{files[0]}{f' and {len(files) - 1} more' if files[1:] else ''} may not be written: clocks, caps or cores "
            "stay as they are. Copy packaging/testbed-board.conf to the board, then there: "
            "sudo groupadd --system testbed; sudo usermod -aG testbed $USER; sudo cp testbed-board.conf "
            "/etc/tmpfiles.d/ && sudo systemd-tmpfiles --create testbed-board.conf; log in anew",
        )
    if len(files) < len(locked):
        yield Finding(
            "permissions",
            "doubtful",
            "nvpmodel may not be run: the power mode stays as it is. Copy packaging/testbed-board.sudoers to the "
            "board, then there: sudo install -m 0440 testbed-board.sudoers /etc/sudoers.d/testbed-board",
        )
    if not locked:
        yield Finding("permissions", "ok", "every knob of the board may be set")


def _board_clock(opened: OpenBench) -> Finding:
    fit = opened.board_clock.update()
    uncertainty_s = fit.standard_uncertainty_s
    good = uncertainty_s <= CLOCK_WANTED_S
    advice = "" if good else "; the network between controller and board is slow: windows must be longer"
    return Finding("board clock", "ok" if good else "doubtful", f"mapped to ±{uncertainty_s * 1e6:.0f} us{advice}")


def _clock_step(opened: OpenBench, before: ClockFit, begun_ns: int) -> Finding:
    """Whether the board's clock still goes as it did when the look began."""
    after = opened.board_clock.begin_anew()
    looked_s = (after.controller_ns - begun_ns) * 1e-9
    board_ns = after.device_ns
    moved_s = float(after.to_controller(board_ns) - before.to_controller(board_ns)) * 1e-9
    known_s = math.hypot(before.uncertainty_s(board_ns), after.uncertainty_s(board_ns))
    detail = f"moved {moved_s * 1e6:+.0f} us within {looked_s:.1f} s (known to {known_s * 1e6:.0f} us)"
    if abs(moved_s) <= STEP_U * known_s:
        return Finding("clock step", "ok", detail)
    return Finding("clock step", "doubtful", f"{detail}: something sets or slews it; look at the board's time service")


def _power_switch(settings: PowerSwitchSettings) -> Finding:
    try:
        return Finding("power switch", "ok", power_switch.require(settings))
    except BenchError as error:
        return Finding("power switch", "wrong", str(error))


def _link(link: Link) -> Finding:
    """An open link has found the interface, the right and the kernel's modules; what it lacks stands in its labels."""
    for target in link.targets:
        link.apply(condition_at(LOOK_DBM), target)
    link.restore()
    if RATE_ONLY_LABEL in link.labels:
        return Finding("link", "doubtful", f"{RATE_ONLY_LABEL}; {how_to_install('sch_netem')}")
    return Finding("link", "ok", "; ".join([f"shapes {', '.join(link.targets)}, and gives it back", *link.labels]))


def _meter(meter: Meter, opened: OpenBench) -> Iterator[Finding]:
    meter.settle(opened.now_ns())
    begun_ns = opened.now_ns()
    meter.recorder.wait_until(begun_ns + round(LOOK_S * 1e9), LOOK_S + 3.0)
    spec = meter.spec
    samples = meter.recorder.between(begun_ns, begun_ns + round(LOOK_S * 1e9)).sum_of(spec.total)
    expected = int(samples.index[-1] - samples.index[0]) + 1 if len(samples) else 0
    lost = expected - len(samples)
    rate_hz = len(samples) / LOOK_S
    near = abs(rate_hz - spec.rate_hz) <= 0.1 * spec.rate_hz
    yield Finding(
        "monitor",
        "ok" if near and not lost else "doubtful",
        f"{spec.name}: {rate_hz:.0f} samples/s ({spec.rate_hz:.0f} nominal), {lost} lost; "
        f"shortest window {spec.shortest_window_s * 1e3:.3g} ms",
    )
    mean_w = float(np.mean(samples.power_w))
    draw = opened.bench.board.draw
    plausible = mean_w > 0.1 and (draw is None or mean_w < draw.power_w)
    advice = "" if plausible else "; is the meter in the board's supply line, and the shunt's value right?"
    yield Finding("power", "ok" if plausible else "wrong", f"{mean_w:.2f} W now{advice}")
    yield from _calibration(opened)
    clock = meter.clock
    yield Finding(
        "meter clock",
        "ok",
        f"mapped to ±{clock.standard_uncertainty_s * 1e6:.0f} us, drift {clock.drift * 1e6:+.1f} ppm",
    )


def _marks(meter: Meter, opened: OpenBench) -> Finding:
    """How marks are placed; a sync pulse is played and looked for, a wire shows only in a trial."""
    alignment = align(opened, meter, GUARD_S)
    alignment.begin()
    how = {"line": "a wire to the meter", "pulse": "a sync pulse", "clock": "the host's clocks"}[alignment.method]
    fit = alignment.fit()
    detail = alignment.note or f"by {how}, ±{fit.standard_uncertainty_s * 1e6:.0f} us now"
    return Finding("marks", "doubtful" if alignment.note else "ok", detail)


def _calibration(opened: OpenBench) -> Iterator[Finding]:
    calibrations = opened.calibrations
    if calibrations is not None:
        yield from (Finding("calibration", "doubtful", reason) for reason in calibrations.passed_over)
        yield from (Finding("calibration", "ok", str(record)) for record in calibrations.used)
