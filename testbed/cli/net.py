"""`testbed net`: shape a network path by hand, play a trace onto it, look at it, probe it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from math import inf
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, TextIO

import typer

from testbed.agent.clock import MonotonicClock
from testbed.agent.guard.lease import sweep
from testbed.agent.probe import ProbeFailed, probe
from testbed.agent.shaping.shaper import Side
from testbed.cli.screen import INTERRUPTED, LINES, print_json
from testbed.config.quantities import parse_quantity
from testbed.errors import BenchError
from testbed.network.conditions import Condition, Standard, condition_at
from testbed.network.netem import NetemLink, addresses
from testbed.network.player import Change, play
from testbed.network.route import require_route
from testbed.network.status import Shaped, shaped_here
from testbed.network.trace_files import read_trace

_TARGET = "path"
"""what a path shaped by hand is called towards the link"""

net = typer.Typer(
    help="Shape a network path, play a trace onto it, look at it, probe it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Interface = Annotated[str, typer.Option(help="The network interface whose packets are shaped.")]
To = Annotated[list[str], typer.Option(help="Whose packets: HOST:PORT of the endpoint. May be given again.")]
At = Annotated[
    Side, typer.Option(help="Which end the interface belongs to: it leads to the endpoint (board), or to the board.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Take away queues that somebody built there by hand.")]
Table = Annotated[Standard, typer.Option(help="Which measured table makes rates of signals.")]
For = Annotated[str | None, typer.Option("--for", help="How long. Default: until Ctrl-C.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@net.command()
def apply(
    interface: Interface,
    to: To,
    rssi: Annotated[str | None, typer.Option(help="Signal whose path to stand for, such as -78dBm.")] = None,
    rate: Annotated[str | None, typer.Option(help="Data rate of both directions, such as 5Mbit.")] = None,
    rate_up: Annotated[str | None, typer.Option(help="Data rate towards the endpoint.")] = None,
    rate_down: Annotated[str | None, typer.Option(help="Data rate from the endpoint.")] = None,
    delay: Annotated[str | None, typer.Option(help="Delay each way, such as 20ms.")] = None,
    jitter: Annotated[str | None, typer.Option(help="Standard deviation of the delay.")] = None,
    loss: Annotated[str | None, typer.Option(help="Share of packets lost, such as 1%.")] = None,
    at: At = "board",
    standard: Table = "802.11n-ht40",
    replace: Replace = False,
    for_: For = None,
) -> None:
    """Put a path under a condition and hold it; leaving gives the interface back, whatever the way out."""
    both_bps, up_bps, down_bps = (
        _number(option, text, "bit/s")
        for option, text in (("--rate", rate), ("--rate-up", rate_up), ("--rate-down", rate_down))
    )
    given = {
        "rate_up_bps": both_bps if up_bps is None else up_bps,
        "rate_down_bps": both_bps if down_bps is None else down_bps,
        "delay_s": _number("--delay", delay, "s"),
        "jitter_s": _number("--jitter", jitter, "s"),
        "loss": _share("--loss", loss),
    }
    condition = _condition(_number("--rssi", rssi, "dBm"), standard, given)
    length_s = _number("--for", for_, "s")
    with _link(interface, to, at, replace) as link:
        held = link.apply(condition, _TARGET).observed
        LINES.print(f"{interface}, {', '.join(to)}: {_told(held)}", markup=False)
        if length_s is None:
            LINES.print("held until Ctrl-C", markup=False)
        with suppress(KeyboardInterrupt):  # the way out
            _wait(length_s)
    LINES.print(f"{interface} is given back", markup=False)


@net.command("play")
def play_trace(
    trace: Annotated[Path, typer.Argument(help="A mahimahi trace, or a CSV with time and rate or rssi.")],
    interface: Interface,
    to: To,
    at: At = "board",
    standard: Table = "802.11n-ht40",
    offset: Annotated[str, typer.Option(help="Where in the trace to begin.")] = "0",
    rate_scale: Annotated[float, typer.Option(help="What its rates are multiplied by.")] = 1.0,
    speed: Annotated[float, typer.Option(help="How many times faster it is played.")] = 1.0,
    for_: Annotated[str | None, typer.Option("--for", help="How long, round and round. Default: once.")] = None,
    log: Annotated[Path | None, typer.Option(help="File of JSON lines: each change, and when it took effect.")] = None,
    replace: Replace = False,
) -> None:
    """Play a recorded trace onto a path, then give the interface back."""
    played = read_trace(trace, standard).scaled(rate_scale, speed)
    offset_s, length_s = _number("--offset", offset, "s") or 0.0, _number("--for", for_, "s")
    changes: list[Change] = []
    with _log_to(log) as lines, _link(interface, to, at, replace) as link:
        try:
            for change in play(played, link, _TARGET, MonotonicClock(), offset_s, length_s):
                changes.append(change)
                if lines is not None:
                    lines.write(json.dumps(change.as_json(), allow_nan=False) + "\n")
        except KeyboardInterrupt:
            LINES.print(_sum_of(changes), markup=False)
            raise typer.Exit(INTERRUPTED) from None
    LINES.print(f"{_sum_of(changes)}; {interface} is given back", markup=False)


@net.command()
def status(as_json: AsJson = False) -> None:
    """Show which interfaces are shaped, by whom, and what the kernel holds."""
    found = list(shaped_here())
    if as_json:
        print_json([each.as_json() for each in found])
        return
    for each in found:
        LINES.print(_line_of(each), markup=False)
    if not found:
        LINES.print("no interface is shaped", markup=False)


@net.command()
def restore() -> None:
    """Give back what a program that died left shaped; what a living one holds is named, and left to it."""
    lines = list(sweep())
    for line in lines:
        LINES.print(line, markup=False)
    if not lines:
        LINES.print("nothing is left to give back", markup=False)


@net.command("probe")
def probe_path(
    to: Annotated[str, typer.Option(help="The endpoint: HOST:PORT or http://HOST:PORT, a KServe v2 server.")],
    size: Annotated[int, typer.Option(help="Bytes of the large request.", min=1)] = 100_000,
    timeout: Annotated[str, typer.Option(help="An answer later than this counts as none.")] = "5s",
    as_json: AsJson = False,
) -> None:
    """Measure round trip and goodput of the path to an endpoint, with requests to the endpoint itself."""
    url = to if "://" in to else f"http://{to}"
    try:
        path = probe(url, _number("--timeout", timeout, "s") or 0.0, size)
    except (ProbeFailed, ValueError) as error:
        raise BenchError(f"{error}; is the endpoint running?") from None
    if as_json:
        print_json(asdict(path))
        return
    LINES.print(
        f"{url}: round trip {path.rtt_s * 1e3:.2f} ms, {path.goodput_up_bps / 1e6:.3g} Mbit/s up "
        f"({path.up_bytes} bytes a request)",
        markup=False,
    )


def _condition(rssi_dbm: float | None, standard: Standard, given: dict[str, float | None]) -> Condition:
    """That of a signal, or of an unshaped path; what is given by itself goes before."""
    told = {name: value for name, value in given.items() if value is not None}
    if rssi_dbm is None and not told:
        raise BenchError("what is the path to be like? give --rssi, or any of --rate, --delay, --jitter, --loss")
    near = Condition(None, inf, inf, 0.0, 0.0, 0.0) if rssi_dbm is None else condition_at(rssi_dbm, standard)
    return near.with_given(told)


def _number(option: str, text: str | None, unit: str) -> float | None:
    """A number in SI units, or a text with its unit; "5Mbit" is a data rate too. Raises BenchError."""
    if text is None:
        return None
    if unit == "bit/s" and text.endswith("bit"):
        text += "/s"
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(str(parse_quantity(text, unit)))
    except ValueError as error:
        raise BenchError(f"{option}: {error}") from None


def _share(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise BenchError(f"{option}: '{text}' is no share: write it like '1%' or '0.01'") from None


@contextmanager
def _link(interface: str, to: list[str], side: Side, replace: bool) -> Iterator[NetemLink]:
    found = [address for each in to for address in addresses(_url(each))]
    if side == "board":
        for address in found:
            require_route(interface, address)
    with NetemLink.on_this_host(interface, {_TARGET: found}, side=side, replace=replace, owner="testbed net") as link:
        yield link


def _url(to: str) -> str:
    host, colon, port = to.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BenchError(f"--to: '{to}' is not HOST:PORT, such as 192.0.2.10:8000 or [2001:db8::1]:8000")
    return f"http://{to}"


def _told(condition: Condition) -> str:
    up, down = (_rate(rate_bps) for rate_bps in (condition.rate_up_bps, condition.rate_down_bps))
    jitter = f" ± {condition.jitter_s * 1e3:.3g}" if condition.jitter_s else ""
    loss = f", {condition.mean_loss * 100:.3g} % lost" if condition.mean_loss else ""
    return f"{up} up, {down} down, {condition.delay_s * 1e3:.3g}{jitter} ms each way{loss}"


def _rate(rate_bps: float) -> str:
    return "no limit" if rate_bps == inf else f"{rate_bps / 1e6:.3g} Mbit/s"


def _line_of(each: Shaped) -> str:
    what = "; ".join(map(_told, each.paths)) or "no condition yet"
    who = f"{each.owner} (process {each.pid})"
    return f"{each.interface}: {what}, by {who}" if each.alive else f"{each.interface}: left by {who}, which is gone"


def _sum_of(changes: list[Change]) -> str:
    if not changes:
        return "no change was made"
    late_s = sorted(change.late_s for change in changes)
    worst_s = quantiles(late_s, n=100)[98] if len(late_s) > 1 else late_s[0]
    skipped = sum(change.skipped for change in changes)
    left_out = f"; {skipped} left out, over before they could be made" if skipped else ""
    return f"{len(changes)} changes, late by {median(late_s) * 1e3:.2f} ms (p99 {worst_s * 1e3:.2f} ms){left_out}"


def _wait(length_s: float | None) -> None:
    end_s = inf if length_s is None else time.monotonic() + length_s
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(left_s, 3600.0))


@contextmanager
def _log_to(path: Path | None) -> Iterator[TextIO | None]:
    with path.open("w", encoding="utf-8") if path is not None else nullcontext() as lines:
        yield lines
