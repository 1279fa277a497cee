"""A remote target: a server that speaks the Open Inference Protocol (KServe v2), over HTTP or gRPC."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from testbed.agent.contract import Clock, Model, Result, Span, TargetFailed, Tensors
from testbed.agent.targets.exchange import Channel, Exchange
from testbed.agent.targets.failures import NoAnswer, RequestRefused, Unavailable
from testbed.agent.targets.images import as_jpeg, require_pillow
from testbed.agent.targets.kserve_grpc import GrpcChannel
from testbed.agent.targets.kserve_http import HttpChannel
from testbed.agent.targets.signature import Signature
from testbed.agent.targets.terms import PORTS, Terms, served_name
from testbed.agent.tensors import MalformedTensor

_log = logging.getLogger(__name__)

_BACK_OFF_NS = 50_000_000
"""before a request is first sent again; doubled each time"""


class RemoteTarget:
    """A server as a target. Each session keeps a connection of its own."""

    def __init__(self, url: str, clock: Clock, timeout_s: float, terms: Terms | None = None) -> None:
        """`url` is "http://host:port", or https, grpc, grpcs; an answer later than `timeout_s` counts as none.

        Raises ValueError for another form of url, and for certificates that cannot be read.
        """
        parts = urlsplit(url)
        if parts.scheme not in PORTS or parts.hostname is None or parts.path not in ("", "/"):
            raise ValueError(f"a server's url is http://host:port, https://, grpc:// or grpcs://, not '{url}'")
        self._url = url
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme]
        self._clock = clock
        self._timeout_s = timeout_s
        self._terms = terms or Terms()

    def load(self, model: Model, precision: str) -> RemoteSession:
        """Needs no network: a server that is not there shows when the session runs.

        Raises NoPillow or NoGrpc where the board lacks a package that this needs.
        """
        if self._terms.jpeg_quality is not None:
            require_pillow()
        name = served_name(model.name, precision)
        name = self._terms.names.get(name, name)
        open_channel = GrpcChannel if self._scheme.startswith("grpc") else HttpChannel
        secure = self._scheme in ("https", "grpcs")
        channel = open_channel(self._host, self._port, secure, name, self._clock, self._terms)
        return RemoteSession(channel, f"{name} at {self._url}", self._clock, self._timeout_s, self._terms)


@dataclass(frozen=True, slots=True)
class _Sent:
    exchange: Exchange
    encoded_ns: int
    begun_ns: int
    """the attempt that was answered began"""


class RemoteSession:
    """One model on the server. Connects when first run, then keeps the connection alive."""

    def __init__(self, channel: Channel, name: str, clock: Clock, timeout_s: float, terms: Terms) -> None:
        self._channel = channel
        self._name = name
        self._clock = clock
        self._timeout_ns = round(timeout_s * 1e9)
        self._terms = terms
        self._ids = itertools.count()
        self._signature = Signature("", {}, {})
        self._compute_ns: int | None = None

    def warm(self, inputs: Sequence[Tensors]) -> None:
        """Hold the inputs against the server's metadata, and send each once.

        A server whose replies do not say how long it computed is asked for its statistics: their mean while warming,
        without the first inference, then stands for each inference. A server that gives no answer is left for `run` to
        report. Raises RequestRefused.
        """
        try:
            self._rehearse(inputs)
        except RequestRefused as refusal:
            self._channel.abort()
            raise RequestRefused(f"{self._name}: {refusal}{self._doubt()}") from None
        except (NoAnswer, MalformedTensor) as failure:
            self._channel.abort()
            _log.warning("not warmed: %s: %s", self._name, failure)

    def run(self, inputs: Tensors) -> Result:
        """One inference, in spans that follow each other: "encode" (the request is made), "retry" (vain attempts),
        "transmit" (connecting included, until the network has taken the last byte), "wait", "compute" (as long as the
        server says, in the middle of the waiting, as where it lay is not known), "wait" again, and "receive" (from the
        reply's head to its last byte).

        Raises TargetFailed when no whole answer comes in time, or none that keeps what the server promised in warming.
        """
        start_ns = self._clock.now_ns()
        try:
            sent = self._send(inputs)
        except (NoAnswer, RequestRefused, MalformedTensor) as error:
            self._channel.abort()
            spent_s = (self._clock.now_ns() - start_ns) * 1e-9
            raise TargetFailed(f"{self._name}: {error}, after {spent_s:.3f} s") from error
        return Result(sent.exchange.outputs, start_ns, self._clock.now_ns(), tuple(self._spans(start_ns, sent)))

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _doubt(self) -> str:
        """What the bench asks for that not every server takes."""
        compress = "" if self._terms.compress is None else "; if it takes no compressed requests, leave out `compress`"
        jpeg = "" if self._terms.jpeg_quality is None else "; if the model takes no JPEG, leave out `input: jpeg`"
        return compress + jpeg

    def _rehearse(self, inputs: Sequence[Tensors]) -> None:
        self._signature, before = self._channel.describe(self._deadline_ns()), None
        for tensors in inputs:
            self._signature.require_inputs(tensors, jpeg=self._terms.jpeg_quality is not None)
        for number, tensors in enumerate(inputs):
            told_ns = self._send(tensors).exchange.compute_ns
            if number == 0 and told_ns is None:
                before = self._channel.computed(self._deadline_ns())
        if before is not None and (after := self._channel.computed(self._deadline_ns())) is not None:
            inferences, computed_ns = after[0] - before[0], after[1] - before[1]
            self._compute_ns = computed_ns // inferences if inferences > 0 else None

    def _deadline_ns(self) -> int:
        return self._clock.now_ns() + self._timeout_ns

    def _send(self, inputs: Tensors) -> _Sent:
        deadline_ns = self._deadline_ns()
        quality = self._terms.jpeg_quality
        tensors = inputs if quality is None else as_jpeg(inputs, self._signature, quality)
        send = self._channel.prepare(tensors, str(next(self._ids)))
        encoded_ns = self._clock.now_ns()
        begun_ns, exchange = self._insist(send, encoded_ns, deadline_ns)
        self._signature.require_outputs(exchange.outputs)
        return _Sent(exchange, encoded_ns, begun_ns)

    def _insist(self, send: Callable[[int], Exchange], begun_ns: int, deadline_ns: int) -> tuple[int, Exchange]:
        """When the answered attempt began, and its answer."""
        for attempt in itertools.count():
            try:
                return begun_ns, send(deadline_ns)
            except Unavailable as trouble:
                pause_ns = _BACK_OFF_NS << attempt if trouble.after_s is None else round(trouble.after_s * 1e9)
                again_ns = self._clock.now_ns() + pause_ns
                if attempt >= self._terms.retries or again_ns >= deadline_ns:
                    raise
                self._channel.abort()
                self._clock.sleep_until(again_ns)
                begun_ns = self._clock.now_ns()
        raise AssertionError

    def _spans(self, start_ns: int, sent: _Sent) -> list[Span]:
        exchange = sent.exchange
        told_ns = self._compute_ns if exchange.compute_ns is None else exchange.compute_ns
        waited_ns = exchange.answered_ns - exchange.sent_ns
        computed_ns = min(told_ns or 0, waited_ns)
        computing_ns = exchange.sent_ns + ((waited_ns - computed_ns) // 2 if computed_ns else 0)
        stretches = (
            ("encode", sent.encoded_ns),
            ("retry", sent.begun_ns),
            ("transmit", exchange.sent_ns),
            ("wait", computing_ns),
            ("compute", computing_ns + computed_ns),
            ("wait", exchange.answered_ns),
            ("receive", exchange.received_ns),
        )
        return list(_chained(start_ns, stretches))


def _chained(start_ns: int, stretches: Sequence[tuple[str, int]]) -> Iterator[Span]:
    """Spans by name and end, each from where the one before ended; those without length only where always told of."""
    for name, end_ns in stretches:
        if end_ns > start_ns or name in ("transmit", "receive"):
            yield Span(name, start_ns, end_ns)
        start_ns = end_ns
