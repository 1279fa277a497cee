"""`testbed live`: a page that shows a run, or a meter, as it goes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from results.records import VIRTUAL_LABEL
from testbed.cli.monitor import opened_meter
from testbed.cli.screen import SCREEN
from testbed.config import Bench, load_bench
from testbed.errors import BenchError
from testbed.live.feed import Feed
from testbed.live.server import require_safe, serving
from testbed.live.tail import RunTail, newest_run
from testbed.live.watch import MeterWatch, RunWatch
from testbed.recording import follow

PORT = 8808


def live(
    run: Annotated[Path | None, typer.Option(help="A run folder, whether its run goes on or not.")] = None,
    bench: Annotated[
        Path | None, typer.Option(help="A bench: the run that goes on there, or else what its meter reads.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where runs are looked for.")] = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to serve on. Beyond this machine it needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to serve on; 0: any that is free.", min=0, max=65535)] = PORT,
    token: Annotated[str | None, typer.Option(help="What whoever opens the page must know.")] = None,
) -> None:
    """Show a run, or a meter, on a page as it goes. Without --run or --bench: the newest run."""
    if run is not None and bench is not None:
        raise typer.BadParameter("give --run or --bench, not both")
    require_safe(host, token)
    resolved = load_bench(bench) if bench else None
    folder = run or newest_run(out, resolved.name if resolved else None)
    with suppress(KeyboardInterrupt):  # Ctrl-C is how it is ended
        if folder is not None:
            _show_run(folder, host, port, token)
        elif resolved is not None:
            _show_meter(resolved, host, port, token)
        else:
            raise BenchError(f"there is no run in {out}: name one (--run), or a bench (--bench) for its meter alone")


def _show_run(folder: Path, host: str, port: int, token: str | None) -> None:
    tail = RunTail(folder)
    header = tail.header
    about = {
        "title": str(header.suite.get("name", folder.name)),
        "subtitle": f"on {header.bench.get('name', 'a bench')}, run folder {folder.name}",
        "caution": header.caution,
        "note": "Power comes trial by trial, once each is on the disk; shaded: inference windows.",
    }
    feed = Feed(about)
    with serving(feed, host, port, token) as address:
        _say(f"following {folder}", address)
        RunWatch(tail, feed).follow()


def _show_meter(bench: Bench, host: str, port: int, token: str | None) -> None:
    with opened_meter(bench) as opened:
        about = {
            "title": bench.name,
            "subtitle": f"{opened.spec.name}; no run goes on there",
            "caution": VIRTUAL_LABEL if bench.provenance == "virtual" else None,
            "note": "",
        }
        feed = Feed(about)
        with serving(feed, host, port, token) as address:
            _say(f"watching {opened.spec.name}", address)
            follow(opened.recorder, opened.begin_ns, None, [MeterWatch(opened.spec, opened.begin_ns, feed).take])


def _say(what: str, address: str) -> None:
    SCREEN.print(what, markup=False, soft_wrap=True)
    SCREEN.print(f"open {address} (Ctrl-C ends this, never the run)", markup=False, soft_wrap=True)
