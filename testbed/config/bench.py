"""The bench file: everything on the table."""

from __future__ import annotations

from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, create_model, model_validator

from testbed.config.loader import Strict, load
from testbed.config.plugins import BoardSettings, MonitorSettings, board_kinds, monitor_kinds
from testbed.config.quantities import Seconds

Standard = Literal["802.11n-ht20", "802.11n-ht40"]
"""which measured goodput table turns signal strength into a data rate"""


class VirtualLinkSettings(Strict):
    """The path to remote targets, shaped by the virtual board's own modelled radio."""

    kind: Literal["virtual"]
    standard: Standard = "802.11n-ht40"


class NetemLinkSettings(Strict):
    """The path to remote targets, shaped by the Linux kernel on an interface."""

    kind: Literal["netem"]
    interface: str = Field(pattern=r"^[^\s/]{1,15}$")
    """such as eth0"""
    at: Literal["endpoint", "router", "board"]
    """whose interface: this host's that looks towards the board, where the endpoints run ("endpoint") or where the
    board's packets pass ("router"); or the board's own, shaped by its agent"""
    replace: bool = False
    """whether queues and filters that somebody built on the interface by hand may be thrown away"""
    standard: Standard = "802.11n-ht40"


LinkSettings = Annotated[VirtualLinkSettings | NetemLinkSettings, Field(discriminator="kind")]
"""The path to remote targets, and who shapes it."""


class Endpoint(Strict):
    """A remote target that speaks the Open Inference Protocol."""

    url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")
    """a server that runs already"""
    serve: Literal["virtual-gpu", "host"] | None = None
    """a server to start beside the controller: a virtual server GPU, or this host's own ONNX Runtime"""
    timeout_s: Seconds = Field(default=2.0, gt=0)
    """an answer later than this counts as none"""

    @model_validator(mode="after")
    def _one_server(self) -> Endpoint:
        if (self.url is None) == (self.serve is None):
            raise ValueError("give either 'url' (a running server) or 'serve' (one to start)")
        return self


class Bench(Strict):
    """A bench, resolved. `kind` decides which settings `board` and `monitor` take."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    board: BoardSettings
    monitor: MonitorSettings | None = None
    """absent: energy is not measured"""
    marks: Literal["line", "pulse", "clock"] | None = None
    """how marks are placed on the trace: by a wire to the meter's marker input, by a coded burst of load, by
    the host's clocks alone; absent: the first of these that the bench has"""
    link: LinkSettings | None = None
    """absent: the network is left as it is"""
    endpoints: dict[Literal["cloud", "edge"], Endpoint] = Field(default_factory=dict)

    @property
    def provenance(self) -> Literal["virtual", "measured"]:
        """ "virtual" as soon as any part of the bench is simulated."""
        parts = (
            self.board.provenance == "virtual",
            self.monitor is not None and self.monitor.emulated,
            self.link is not None and self.link.kind == "virtual",
            any(endpoint.serve == "virtual-gpu" for endpoint in self.endpoints.values()),
        )
        return "virtual" if any(parts) else "measured"

    @model_validator(mode="after")
    def _parts_fit(self) -> Bench:
        virtual = self.board.provenance == "virtual"
        if self.monitor is not None and self.monitor.emulated and not virtual:
            raise ValueError("an emulated monitor can only meter a virtual board: give the meter's serial port")
        if self.monitor is not None and not self.monitor.emulated and virtual:
            raise ValueError(
                "a real monitor cannot meter a virtual board: set its port to 'emulated', of a kind that has one"
            )
        if self.link is not None and (self.link.kind == "virtual") != virtual:
            raise ValueError(
                "a virtual link needs a virtual board, which has a modelled radio"
                if not virtual
                else "a virtual board's packets pass its modelled radio: give it a link of kind 'virtual'"
            )
        if isinstance(self.link, NetemLinkSettings):
            self._netem_knows_where()
        return self

    def _netem_knows_where(self) -> None:
        if not self.endpoints:
            raise ValueError("a netem link shapes the way to endpoints: name one, with its url")
        if started := [name for name, endpoint in self.endpoints.items() if endpoint.url is None]:
            raise ValueError(
                f"a netem link must know where {', '.join(started)} answers before it starts: give its 'url' "
                "(python -m testbed.serve starts a server by hand)"
            )


@cache
def bench_schema() -> type[Bench]:
    """`Bench` closed over the kinds of board and monitor that are installed."""
    board = _one_of(list(board_kinds().values()))
    monitor = _one_of(list(monitor_kinds().values()))
    fields: dict[str, Any] = {"board": (board, ...), "monitor": (monitor | None, None)}
    return cast("type[Bench]", create_model("Bench", __base__=Bench, **fields))


def _one_of(kinds: list[type[Strict]]) -> Any:
    if len(kinds) == 1:
        return kinds[0]
    return Annotated[reduce(or_, cast("list[Any]", kinds)), Field(discriminator="kind")]


def load_bench(path: Path) -> Bench:
    """Raises BenchError naming every mistake with its line."""
    return load(path, bench_schema())
