"""`testbed board`: look at a board's knobs, turn them by hand, give them back, watch it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from power import Recorder
from testbed.agent.guard.lease import sweep
from testbed.by_hand import board_by_hand, board_on, tune
from testbed.cli.board_screen import Watched
from testbed.cli.screen import LINES, print_json
from testbed.cli.values import quantity
from testbed.config import Bench, load_bench
from testbed.config.quantities import parse_quantity
from testbed.errors import BenchError
from testbed.marks import BoardClock
from testbed.opening import open_monitor_on
from testbed.remote import RemoteAgent

board = typer.Typer(help="A board's clocks, modes and sensors, by hand.", no_args_is_help=True, rich_markup_mode=None)

BenchFile = Annotated[Path | None, typer.Option("--bench", help="The bench file. Default: this machine.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
For = Annotated[
    float | None, typer.Option("--for", parser=quantity("s"), metavar="TIME", help="How long. Default: until Ctrl-C.")
]


@board.command()
def info(bench: BenchFile = None, as_json: AsJson = False) -> None:
    """Say what the board is, what each knob can be set to, and what this user may not set."""
    with board_by_hand(_bench(bench)) as agent:
        told = agent.ask("identify") | {"offered": agent.ask("offered"), "locked": agent.ask("locked")}
    if as_json:
        print_json(told)
        return
    LINES.print(f"{told['model']} (serial {told['serial']})", markup=False)
    for line in _offers(told["offered"]):
        LINES.print(line, markup=False)
    if told["locked"]:
        LINES.print(f"may not be set: {len(told['locked'])} (testbed doctor says how to allow it)", markup=False)
        for what in told["locked"]:
            LINES.print(f"  {what}", markup=False)


@board.command()
def get(bench: BenchFile = None, as_json: AsJson = False) -> None:
    """Read everything back: power mode, cores, limits, caps, governors, temperatures, what throttles."""
    with board_by_hand(_bench(bench)) as agent:
        standing = agent.ask("standing")
    told = {**standing["held"], "readings": standing["readings"], "throttling": standing["throttling"]}
    if as_json:
        print_json(told)
        return
    for name, value in _flat(told):
        LINES.print(f"{name:<28} {value}", markup=False)


@board.command("set")
def set_(
    knobs: Annotated[list[str], typer.Argument(help="KNOB=VALUE, such as cpu=1.5GHz power_mode=30W cores_on=4.")],
    bench: BenchFile = None,
    for_: For = None,
) -> None:
    """Turn knobs and hold them; leaving gives everything back, whatever the way out."""
    wanted = [_knob(text) for text in knobs]
    with board_by_hand(_bench(bench)) as agent:
        for name, value in wanted:
            tune(agent, name, value)
        standing = agent.ask("standing")
        for name, value in standing["asked"].items():
            LINES.print(f"{name} is set: {_shown(name, value)}", markup=False)
        for reason in standing["strayed"]:
            LINES.print(f"but {reason}", markup=False)
        if for_ is None:
            LINES.print("held until Ctrl-C", markup=False)
        with suppress(KeyboardInterrupt):  # the way out
            _hold(agent, for_, set(standing["strayed"]))
    LINES.print("the board is given back", markup=False)


@board.command()
def restore(bench: BenchFile = None) -> None:
    """Give back what a program that died left altered, its network too; what a living one holds is left to it."""
    if bench is None:
        lines = list(sweep())
    else:
        with board_by_hand(load_bench(bench)) as agent:
            lines = agent.ask("mend")
    for line in lines:
        LINES.print(line, markup=False)
    if not lines:
        LINES.print("nothing is left to give back", markup=False)


@board.command()
def watch(
    bench: BenchFile = None,
    rate: Annotated[
        float, typer.Option(parser=quantity("Hz"), metavar="RATE", help="How often the board is read.")
    ] = 10.0,
    window: Annotated[
        float, typer.Option(parser=quantity("s"), metavar="TIME", help="What the chart shows: the last so much.")
    ] = 60.0,
    for_: For = None,
) -> None:
    """Show clocks, loads, temperatures, and the bench's meter with its rails, on one time axis."""
    resolved = _bench(bench)
    with ExitStack() as stack:
        supply = Path(stack.enter_context(TemporaryDirectory(prefix="testbed-"))) / "supply"
        agent = stack.enter_context(board_on(resolved, supply))
        clock = BoardClock(agent, time.monotonic_ns)
        recorder = None
        if resolved is not None and resolved.monitor is not None:
            recorder = stack.enter_context(Recorder(stack.enter_context(open_monitor_on(resolved, supply, 0))))
        begin_ns = heard_ns = time.monotonic_ns()
        display = stack.enter_context(Watched(LINES, begin_ns, window))
        stack.enter_context(suppress(KeyboardInterrupt))  # the way out
        end_ns = inf if for_ is None else begin_ns + for_ * 1e9
        due_ns = begin_ns
        while time.monotonic_ns() < end_ns:
            swept = agent.ask("sweep")
            display.take(clock.place(swept["time_ns"], swept["time_ns"]).start_ns, swept["readings"])
            if recorder is not None:
                samples = recorder.since(heard_ns)
                display.take_power(samples, recorder.monitor.spec)
                heard_ns = int(samples.time_ns[-1]) if len(samples) else heard_ns
                recorder.forget_before(heard_ns)
            due_ns = max(due_ns + round(1e9 / rate), time.monotonic_ns())
            time.sleep(max(0.0, (due_ns - time.monotonic_ns()) * 1e-9))


def _bench(path: Path | None) -> Bench | None:
    return None if path is None else load_bench(path)


def _knob(text: str) -> tuple[str, str]:
    """Its name and value, a frequency in Hz. Raises BenchError."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise BenchError(f"'{text}' is not KNOB=VALUE, such as cpu=1.5GHz; `testbed board info` shows the knobs")
    if name in ("power_mode", "governor", "cores_on"):
        return name, value
    try:
        return name, str(float(value))
    except ValueError:
        pass
    try:
        return name, str(parse_quantity(value, "Hz"))
    except ValueError as error:
        raise BenchError(f"{name}: {error}") from None


def _hold(agent: RemoteAgent, length_s: float | None, told: set[str]) -> None:
    """Wait, and say when somebody else turns a knob; what is `told` already is not said again."""
    end_s = inf if length_s is None else time.monotonic() + length_s
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(left_s, 1.0))
        for reason in agent.ask("standing")["strayed"]:
            if reason not in told:
                LINES.print(f"but {reason}", markup=False)
                told.add(reason)


def _offers(offered: Mapping[str, Any]) -> Iterator[str]:
    yield f"power_mode  {', '.join(offered['power_mode']) or 'none on this board'}"
    yield f"cores_on    1 to {offered['cores_on']}"
    yield f"governor    {', '.join(offered['governor']) or 'none on this board'}"
    for name, steps in {**offered["clocks_hz"], **offered["caps_hz"]}.items():
        kind = " (a cap)" if name in offered["caps_hz"] else ""
        yield f"{name:<11} {', '.join(f'{step / 1e6:g}' for step in steps) or 'any'} MHz{kind}"


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, one in value.items():
        if isinstance(one, Mapping):
            yield from _flat(one, f"{name} ")
        else:
            yield f"{prefix}{name}", _shown(prefix or name, one)


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(_shown(name, one) for one in value) or "nothing"
    if isinstance(value, float):
        return f"{value / 1e6:g} MHz" if value > 1e5 else f"{value:.4g}"
    return "unknown" if value is None else str(value)
