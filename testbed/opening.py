"""Everything a bench file names, opened in order and given back in reverse."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from power import Corrected, PowerMonitor
from testbed.agent.shaping.survey import ShapingError
from testbed.calibration import CalibrationRecord, Calibrations
from testbed.config import Bench, Endpoint
from testbed.config.plugins import MonitorSettings
from testbed.errors import BenchError, TransientError
from testbed.farend import FarEnd, start_far_end
from testbed.frequencies import kept_steps
from testbed.links import Place, open_link
from testbed.marks import BoardClock
from testbed.network.conditions import Link
from testbed.remote import RemoteAgent
from testbed.wiring import refuse_impossible_wiring


@dataclass(frozen=True)
class OpenBench:
    """A bench ready to work."""

    bench: Bench
    """as it was opened: nothing in it is left open any more"""
    agent: RemoteAgent
    identity: Mapping[str, Any]
    board_clock: BoardClock
    link: Link | None
    places: Mapping[str, Place]
    """endpoint -> where it is to be started; any free port of this host where nothing stands"""
    monitor: PowerMonitor | None
    calibrations: Calibrations | None
    """of the monitor, by which its readings are corrected once it is open"""
    now_ns: Callable[[], int]
    begin_link: Callable[[], None]
    """tells an agent that was started anew of the link; raises ShapingError"""

    def start_again(self) -> None:
        """Start the agent anew after it was lost, and take up what the bench has on the board; nothing else is there.

        Raises a TestbedError where the board is not ready for it, or another board answers.
        """
        self.agent.start_again()
        serial = self.agent.ask("identify")["serial"]
        if serial != self.identity["serial"]:
            raise BenchError(f"another board answers now: serial '{serial}', not '{self.identity['serial']}'")
        self.board_clock.begin_anew()
        try:
            self.begin_link()
        except ShapingError as error:
            raise TransientError(f"the link: {error}") from None

    @property
    def board_name(self) -> str:
        """As it stands in messages."""
        return f"the board '{self.identity['model']}'"

    def processors(self) -> dict[str, list[str]]:
        """What can run where: the board's processors and the bench's endpoints, with their precisions."""
        processors = {name: list(precisions) for name, precisions in self.identity["processors"].items()}
        return processors | {name: ["fp32", "fp16", "int8"] for name in self.bench.endpoints}


@contextmanager
def open_bench(bench: Bench, seed: int, pinned: Sequence[CalibrationRecord] | None = None) -> Iterator[OpenBench]:
    """Start the agent (and, on a virtual bench, the meter's far end), find the monitor, map the clocks.

    `pinned` are the calibrations a resumed run goes on with. Raises BenchError where a person must mend something.
    """
    refuse_impossible_wiring(bench)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="testbed-")))
        supply = folder / "supply"
        board = bench.board
        agent = stack.enter_context(
            RemoteAgent(board.agent, board.opener, board.packages, board.agent_config(supply, seed))
        )
        identity, board_clock = _identity(bench, agent), BoardClock(agent, time.monotonic_ns)
        if bench.monitor is not None:
            bench.monitor.require_board(identity)
        linked = open_link(bench, agent, board_clock, stack)
        calibrations = Calibrations(bench.monitor, pinned) if bench.monitor else None
        yield OpenBench(
            bench=linked.bench,
            agent=agent,
            identity=identity,
            board_clock=board_clock,
            link=linked.link,
            places=linked.places,
            monitor=Corrected(_monitor(bench, supply, seed, stack), calibrations) if calibrations else None,
            calibrations=calibrations,
            now_ns=time.monotonic_ns,
            begin_link=linked.begin,
        )


def _identity(bench: Bench, agent: RemoteAgent) -> Mapping[str, Any]:
    """What the board says of itself, with the frequencies that the bench keeps. Raises BenchError."""
    told = agent.ask("identify")
    name = f"the board '{told['model']}'"
    return {**told, "frequencies_hz": kept_steps(told["frequencies_hz"], bench.board.frequencies, name)}


@contextmanager
def open_monitor(bench: Bench, seed: int) -> Iterator[PowerMonitor]:
    """The bench's monitor alone, uncorrected and not yet open; an emulated one meters its idle virtual board.

    Raises BenchError where there is none, or where it could not be wired so.
    """
    with ExitStack() as stack:
        supply = stack.enter_context(_supply(bench))
        board = bench.board
        if monitor_settings(bench).emulated:
            config = board.agent_config(supply, seed)
            stack.enter_context(RemoteAgent(board.agent, board.opener, board.packages, config)).ask("identify")
        yield _monitor(bench, supply, seed, stack)


@contextmanager
def open_monitor_on(bench: Bench, supply: Path, seed: int) -> Iterator[PowerMonitor]:
    """The bench's monitor; an emulated one meters the virtual board that is open and writes to `supply`."""
    refuse_impossible_wiring(bench)
    with ExitStack() as stack:
        yield _monitor(bench, supply, seed, stack)


@contextmanager
def open_monitor_on_resistor(bench: Bench, ohm: float, seed: int) -> Iterator[tuple[PowerMonitor, FarEnd]]:
    """An emulated monitor with a resistor in the board's place, which obeys `open` and `connect`."""
    with ExitStack() as stack:
        supply = stack.enter_context(_supply(bench))
        arguments = [f"--supply={supply}", f"--voltage={bench.board.supply_voltage_v}", f"--ohm={ohm}"]
        resistor = stack.enter_context(start_far_end("testbed.virtual.resistor", arguments))
        yield _monitor(bench, supply, seed, stack), resistor


@contextmanager
def _supply(bench: Bench) -> Iterator[Path]:
    monitor_settings(bench)
    refuse_impossible_wiring(bench)
    with tempfile.TemporaryDirectory(prefix="testbed-") as folder:
        yield Path(folder) / "supply"


def monitor_settings(bench: Bench) -> MonitorSettings:
    """The bench's monitor. Raises BenchError where there is none."""
    if bench.monitor is None:
        raise BenchError(f"bench '{bench.name}' has no monitor: add one, as `testbed monitor list` shows it")
    return bench.monitor


def _monitor(bench: Bench, supply: Path, seed: int, stack: ExitStack) -> PowerMonitor:
    settings = monitor_settings(bench)
    program = settings.far_end(supply, bench.board.supply_voltage_v, seed)
    far_end = stack.enter_context(start_far_end(program.module, program.arguments)).ready if program else None
    return settings.build(bench.board, far_end)


_VIRTUAL_MACHINES = {"cloud": "a30", "edge": "xavier-nx"}
"""which machine a virtual endpoint is: a server GPU, or a board beside this one"""


@dataclass(frozen=True, slots=True)
class Served:
    """A model an endpoint answers for."""

    file: Path
    macs: int


@dataclass(frozen=True, slots=True)
class Servers:
    """The endpoints of a bench."""

    urls: Mapping[str, str]
    """endpoint -> where it answers"""
    started: Sequence[FarEnd]
    """those this testbed runs itself"""

    def require_alive(self) -> None:
        """Raises BenchError when one that this testbed runs has ended: its silence is then no finding."""
        for server in self.started:
            server.require_alive()


@contextmanager
def serving(opened: OpenBench, models: Mapping[str, Served], seed: int) -> Iterator[Servers]:
    """The bench's endpoints; those to be started serve `models`, and are left out where there are none."""
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        started = []
        for name, endpoint in opened.bench.endpoints.items():
            if endpoint.url is not None:
                urls[name] = endpoint.url
            elif models:
                place = opened.places.get(name)
                started.append(stack.enter_context(_server(name, endpoint, place, models, seed)))
                urls[name] = str(started[-1].ready["url"])
        yield Servers(urls, started)


@contextmanager
def _server(
    name: str, endpoint: Endpoint, place: Place | None, models: Mapping[str, Served], seed: int
) -> Iterator[FarEnd]:
    arguments = [f"--model={served}={model.file}" for served, model in models.items()]
    module = "testbed.serve"
    if endpoint.serve == "virtual-gpu":
        module = "testbed.virtual.cloud"
        arguments += [f"--macs={served}={model.macs}" for served, model in models.items()]
        arguments += [f"--machine={_VIRTUAL_MACHINES[name]}", f"--seed={seed}"]
        if place is not None:
            host, port = place.address.host, place.address.port
            arguments += [f"--namespace={place.namespace}", f"--host={host}", f"--port={port}"]
    with start_far_end(module, arguments) as far_end:
        yield far_end
