"""`testbed monitor`: meters by themselves. What is attached, how well it measures, its trace live, on file, checked."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from power import Corrected, MonitorSpec, PowerError, Recorder, Tally
from results import StoreFull, Trace, TraceWriter, write_csv, write_parquet, write_perfetto
from results.records import VIRTUAL_LABEL
from testbed.calibration import Calibrations, store
from testbed.check import Hands, Load, Resistor, check
from testbed.cli.live import LiveTrace
from testbed.cli.monitor_tables import show_attached, show_info, show_outcome
from testbed.cli.person import Person
from testbed.cli.screen import ERRORS, FAILED, SCREEN
from testbed.cli.values import quantity, share
from testbed.config import Bench, load_bench
from testbed.discovery import discover, usb_serial_ports
from testbed.opening import monitor_settings, open_monitor, open_monitor_on_resistor
from testbed.recording import follow, settle, trace_header

SEED = 0
"""of an emulated meter and its board"""
WINDOW_S = 10.0
LOOK_S = 1.0
_EXPORTS: dict[str, tuple[str, Callable[[Trace, Path], None]]] = {
    "parquet": (".parquet", write_parquet),
    "csv": (".csv", write_csv),
    "perfetto": (".perfetto.json", write_perfetto),
}
"""what -> ending of the file, and who writes it"""

monitor = typer.Typer(
    help="Power monitors by themselves: find, look at, watch, record, check.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


BenchFile = Annotated[Path, typer.Option("--bench", help="The bench file: everything on the table.")]
Ports = Annotated[list[str] | None, typer.Argument(help="Serial ports to ask. Default: all on USB.", metavar="PORT...")]
Duration = Annotated[
    float | None,
    typer.Option("--for", parser=quantity("s"), metavar="TIME", help="How long, such as 10s. Default: till Ctrl-C."),
]
Window = Annotated[
    float, typer.Option("--window", parser=quantity("s"), metavar="TIME", help="What the chart shows: the last 10s.")
]
ToCsv = Annotated[bool, typer.Option("--csv", help="Write a .csv beside it.")]
ToPerfetto = Annotated[bool, typer.Option("--perfetto", help="Write a .perfetto.json for ui.perfetto.dev beside it.")]


@monitor.command("list")
def list_(ports: Ports = None) -> None:
    """Look for attached meters, and print the block that each needs in a bench file."""
    if not show_attached(SCREEN, discover(ports or usb_serial_ports())) and not ports:
        SCREEN.print(
            "no meter found; name its serial port if it is not on USB: testbed monitor list /dev/ttyAMA0",
            soft_wrap=True,
        )


@monitor.command()
def info(
    ports: Ports = None,
    bench: Annotated[Path | None, typer.Option("--bench", help="The bench file: the whole spec of its meter.")] = None,
) -> None:
    """Say what a meter is and how well it measures: of a bench all of it, of a port what it tells unasked."""
    if (bench is None) == (not ports):
        raise typer.BadParameter("give a bench (--bench BENCH), or serial ports")
    if bench is None:
        if not show_attached(SCREEN, discover(ports or [])):
            raise typer.Exit(FAILED)
        return
    with opened_meter(load_bench(bench)) as opened:
        heard = Tally(opened.spec)
        follow(opened.recorder, opened.begin_ns, LOOK_S, [heard.add])
        meter = opened.recorder.monitor
        notes = [str(record) for record in opened.calibrations.used] + list(opened.calibrations.passed_over)
        show_info(SCREEN, meter, heard.total, notes)


@monitor.command()
def stream(bench: BenchFile, duration: Duration = None, window: Window = WINDOW_S) -> None:
    """Watch a meter live: chart, mean, peak, joules, loss."""
    with opened_meter(load_bench(bench)) as opened, _shown(opened, window) as display:
        follow(opened.recorder, opened.begin_ns, duration, [display.take])


@monitor.command()
def record(
    bench: BenchFile,
    duration: Duration = None,
    out: Annotated[Path, typer.Option(help="A folder, or a file that ends in .parquet.")] = Path("traces"),
    window: Window = WINDOW_S,
    csv: ToCsv = False,
    perfetto: ToPerfetto = False,
) -> None:
    """Record a trace to a Parquet file. A crash or a full disk costs its last moment at the most."""
    resolved = load_bench(bench)
    path = _trace_path(out, resolved)
    with opened_meter(resolved) as opened:
        header = trace_header(resolved, opened.recorder.monitor, opened.begin_ns, opened.calibrations.used)
        with TraceWriter(path, header) as writer:
            try:
                with _shown(opened, window) as display:
                    follow(opened.recorder, opened.begin_ns, duration, [writer.append, display.take])
            except StoreFull:
                ERRORS.print(
                    f"what was recorded until then is in {writer.growing}; with space again, pack it with: "
                    f"testbed monitor export {shlex.quote(str(writer.growing))} --parquet",
                    markup=False,
                )
                raise
            except PowerError:
                writer.finish()
                ERRORS.print(f"what was recorded until then is in {path}", markup=False)
                raise
            writer.finish()
    SCREEN.print(f"trace: {path}", soft_wrap=True, markup=False)
    _export(path, {"csv": csv, "perfetto": perfetto})


@monitor.command()
def export(
    trace: Annotated[Path, typer.Argument(help="A .parquet of `record`, or the .arrows of one that broke off.")],
    csv: ToCsv = False,
    perfetto: ToPerfetto = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Pack an .arrows into a .parquet beside it.")] = False,
) -> None:
    """Write a recorded trace for other programs, beside it."""
    if not (csv or perfetto or parquet):
        raise typer.BadParameter("say what to write: --csv, --perfetto or --parquet")
    _export(trace, {"csv": csv, "perfetto": perfetto, "parquet": parquet})


@monitor.command("check")
def check_(
    bench: BenchFile,
    load: Annotated[float, typer.Option(parser=quantity("Ohm"), metavar="OHMS", help="The resistor's value, 10.")],
    tolerance: Annotated[
        float, typer.Option(parser=share, metavar="SHARE", help="Limit of its error, with that of its leads.")
    ] = 0.01,
    supply_v: Annotated[
        float | None,
        typer.Option(parser=quantity("V"), metavar="VOLTS", help="Measured at the load. Default: the meter's own."),
    ] = None,
    supply_tolerance: Annotated[
        float, typer.Option(parser=share, metavar="SHARE", help="Limit of that reading's error.")
    ] = 0.005,
    channel: Annotated[str | None, typer.Option(help="Of a meter with several.")] = None,
    duration: Annotated[
        float, typer.Option("--for", parser=quantity("s"), metavar="TIME", help="Length of each of both readings.")
    ] = 3.0,
    valid_days: Annotated[int, typer.Option(help="Till the result expires.", min=1, max=3650)] = 365,
) -> None:
    """Check a meter against a known resistor in the board's place, and keep what its gain and offset are."""
    resolved = load_bench(bench)
    settings = monitor_settings(resolved)
    stated = Load(load, tolerance, supply_v, supply_tolerance)
    with ExitStack() as stack:
        if settings.emulated:
            meter, far_end = stack.enter_context(open_monitor_on_resistor(resolved, load, SEED))
            hands: Hands = Resistor(far_end)
            SCREEN.print(VIRTUAL_LABEL)
            SCREEN.print(f"a virtual resistor of {load:g} Ohm stands in the board's place")
        else:
            meter = stack.enter_context(open_monitor(resolved, SEED))
            hands = Person(SCREEN, load, resolved.board.supply_voltage_v)
        outcome = check(meter, settings, channel, stated, hands, duration, valid_days)
    show_outcome(SCREEN, outcome)
    if outcome.worth_keeping:
        kept = f"kept until {outcome.record.expires:%Y-%m-%d}: {store(outcome.record)}"
    else:
        kept = "not kept: the maker's limit tells the gain as well; take a closer resistor (--tolerance) or --supply-v"
    SCREEN.print(kept, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class OpenedMeter:
    """A bench's monitor at work."""

    bench: Bench
    recorder: Recorder
    calibrations: Calibrations
    begin_ns: int

    @property
    def spec(self) -> MonitorSpec:
        """As it is now that samples come."""
        return self.recorder.monitor.spec


@contextmanager
def opened_meter(bench: Bench) -> Iterator[OpenedMeter]:
    """The bench's monitor, corrected by its calibrations, once its samples come."""
    with ExitStack() as stack:
        calibrations = Calibrations(monitor_settings(bench))
        meter = Corrected(stack.enter_context(open_monitor(bench, SEED)), calibrations)
        recorder = stack.enter_context(Recorder(meter))
        yield OpenedMeter(bench, recorder, calibrations, settle(recorder))


@contextmanager
def _shown(opened: OpenedMeter, window_s: float) -> Iterator[LiveTrace]:
    """The live trace. Ctrl-C is how it is ended, and so may a reader of the pipe; the last line sums up."""
    title = f"{opened.bench.name}: {opened.spec.name}"
    if opened.bench.provenance == "virtual":
        title += f"\n{VIRTUAL_LABEL}"
    display = LiveTrace(SCREEN, opened.spec, opened.begin_ns, window_s, title)
    try:
        with display:
            yield display
    except (KeyboardInterrupt, SystemExit):  # the console makes a SystemExit of a pipe that nobody reads any more
        pass
    finally:
        SCREEN.print(display.line(), markup=False, soft_wrap=True)


def _trace_path(out: Path, bench: Bench) -> Path:
    if out.suffix == ".parquet":
        return out
    if out.suffix and not out.is_dir():
        raise typer.BadParameter(f"--out {out}: give a folder, or a file that ends in .parquet")
    return out / f"{bench.name}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}.parquet"


def _export(path: Path, wanted: Mapping[str, bool]) -> None:
    if not any(wanted.values()):
        return
    trace = Trace.read(path)
    for what, (ending, write) in _EXPORTS.items():
        if wanted.get(what):
            target = path.with_name(path.stem + ending)
            if target == path:
                raise typer.BadParameter(f"{path} is packed already")
            write(trace, target)
            SCREEN.print(f"{what}: {target}", soft_wrap=True, markup=False)
