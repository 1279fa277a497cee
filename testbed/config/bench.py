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
    """The path to remote targets, through the virtual board's own modelled radio."""

    kind: Literal["virtual"]
    by: Literal["auto", "netem", "model"] = "auto"
    """what shapes packets: this host's kernel, across a wire to a network namespace in which the endpoints run; the
    model of the radio; or, with "auto", the kernel where it can and all endpoints are started here, else the model"""
    standard: Standard = "802.11n-ht40"
    probe: bool = False
    """measure the path to the endpoints after each change, beside what was asked"""


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
    probe: bool = False
    """measure the path to the endpoints after each change, beside what was asked"""


LinkSettings = Annotated[VirtualLinkSettings | NetemLinkSettings, Field(discriminator="kind")]
"""The path to remote targets, and who shapes it."""


class Endpoint(Strict):
    """A remote target that speaks the Open Inference Protocol."""

    url: str | None = Field(default=None, pattern=r"^(https?|grpcs?)://[^/@\s]+$")
    """a server that runs already: http://host:port, https://, or grpc:// and grpcs://"""
    serve: Literal["virtual-gpu", "host"] | None = None
    """a server to start beside the controller: a virtual server GPU, or this host's own ONNX Runtime"""
    timeout_s: Seconds = Field(default=2.0, gt=0)
    """an answer later than this counts as none"""
    retries: int = Field(default=0, ge=0, le=10)
    """how often a request is sent again, within `timeout_s`, that was refused or reset before a byte of a reply, or
    told 503 and when to come again"""
    ca_file: Path | None = None
    """certificates, in PEM on this host, that may vouch for the server; absent: those of the board's system"""
    token_file: Path | None = None
    """a file on this host that holds the server's bearer token and nothing else"""
    token_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """the environment variable that holds it"""
    compress: Literal["gzip", "deflate"] | None = None
    """of requests and replies; absent: none"""
    input: Literal["tensor", "jpeg"] = "tensor"
    """how photos (uint8 [1, 3, height, width]) are sent; "jpeg" needs a model that takes JPEG"""
    jpeg_quality: int = Field(default=90, ge=1, le=95)
    models: dict[str, str] = Field(default_factory=dict)
    """what the server calls a model, where that is not `<model>-<precision>`"""

    @property
    def plain(self) -> bool:
        """Whether it is asked as the virtual radio's law supposes: over HTTP, for tensors as they are."""
        return (self.url or "http://").startswith("http://") and self.compress is None and self.input == "tensor"

    @model_validator(mode="after")
    def _one_server(self) -> Endpoint:
        if (self.url is None) == (self.serve is None):
            raise ValueError("give either 'url' (a running server) or 'serve' (one to start)")
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("give the token by 'token_file' or by 'token_env', not both")
        if self.ca_file is not None and not (self.url or "").startswith(("https://", "grpcs://")):
            raise ValueError("a 'ca_file' vouches for a server at https:// or grpcs://: give such a url")
        if self.url is None and (self.token_file or self.token_env or self.models):
            raise ValueError("a server that is started here has no token, and the bench's own names")
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
    power_model: Path | None = None
    """file of `testbed calibrate`, relative to the bench file, that estimates energies on the board; absent: profile
    trials do"""
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
        if virtual and (others := [name for name, endpoint in self.endpoints.items() if not endpoint.plain]):
            raise ValueError(
                f"the modelled radio of a virtual board passes plain tensors over http:// only: leave https, gRPC, "
                f"compress and jpeg out of endpoint {', '.join(others)}"
            )
        if self.link is not None and self.link.probe:
            self._probes_need_http()
        if isinstance(self.link, NetemLinkSettings):
            self._netem_knows_where()
        if isinstance(self.link, VirtualLinkSettings) and self.link.by == "netem" and not self.all_virtual:
            raise ValueError(
                "a virtual link by netem leads to endpoints in a network namespace of their own: "
                "name one, and let each be started (serve: virtual-gpu)"
            )
        return self

    @property
    def all_virtual(self) -> bool:
        """Whether there are endpoints, each a virtual one that is to be started."""
        return bool(self.endpoints) and all(each.serve == "virtual-gpu" for each in self.endpoints.values())

    def _probes_need_http(self) -> None:
        if grpc := [name for name, endpoint in self.endpoints.items() if (endpoint.url or "").startswith("grpc")]:
            raise ValueError(f"probes of the path speak HTTP: give {', '.join(grpc)} its http:// url, or no 'probe'")

    def _netem_knows_where(self) -> None:
        if not self.endpoints:
            raise ValueError("a netem link shapes the way to endpoints: name one, with its url")
        if started := [name for name, endpoint in self.endpoints.items() if endpoint.url is None]:
            raise ValueError(
                f"a netem link must know where {', '.join(started)} answers before it starts: give its 'url' "
                "(`testbed serve` starts a server by hand)"
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
    """Files it names are looked for beside the bench. Raises BenchError naming every mistake with its line."""
    bench = load(path, bench_schema())
    endpoints = {name: _anchored(endpoint, path.resolve().parent) for name, endpoint in bench.endpoints.items()}
    update: dict[str, Any] = {"endpoints": endpoints, "board": bench.board.anchored(path.resolve().parent)}
    if bench.monitor is not None:
        update["monitor"] = bench.monitor.anchored(path.resolve().parent)
    if bench.power_model is not None:
        update["power_model"] = path.resolve().parent / bench.power_model
    return bench.model_copy(update=update)


def _anchored(endpoint: Endpoint, folder: Path) -> Endpoint:
    given = {"ca_file": endpoint.ca_file, "token_file": endpoint.token_file}
    return endpoint.model_copy(update={key: folder / path for key, path in given.items() if path is not None})
