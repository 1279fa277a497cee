"""The protocol over gRPC, with the messages of `tritonclient[grpc]`.

gRPC does not tell when a request has left. Where the server says how long it computed, the rest of the time is laid to
sending and receiving by their bytes; where it does not, all of it is waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.agent.contract import Clock, Tensors
from testbed.agent.server_timing import SERVER_TIMING, compute_ns
from testbed.agent.targets.exchange import Exchange
from testbed.agent.targets.failures import NoAnswer, RequestRefused, Unavailable
from testbed.agent.targets.signature import Signature
from testbed.agent.targets.terms import Terms
from testbed.agent.tensors import MalformedTensor
from testbed.agent.tensors_grpc import put, take


class NoGrpc(Exception):
    """The board's Python has no gRPC."""


class GrpcChannel:
    """One model on the server. gRPC connects when first asked, and keeps the connection."""

    def __init__(self, host: str, port: int, secure: bool, model: str, clock: Clock, terms: Terms) -> None:
        """Raises NoGrpc, with the cure."""
        try:
            import grpc
            from tritonclient.grpc import service_pb2, service_pb2_grpc
        except ModuleNotFoundError as missing:
            raise NoGrpc(
                f"a server at grpc:// needs {missing.name}, which this board's Python does not have: "
                "run `python3 -m pip install 'tritonclient[grpc]'` on the board, or give the server's http:// url"
            ) from None
        self._grpc: Any = grpc
        self._pb: Any = service_pb2
        self._model = model
        self._clock = clock
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._secure = secure
        self._stub_of: Any = service_pb2_grpc.GRPCInferenceServiceStub
        self._terms = terms
        self._channel: Any = None
        self._calls: dict[str, Any] = {
            "metadata": None if terms.token is None else (("authorization", f"Bearer {terms.token}"),),
            "compression": {
                None: grpc.Compression.NoCompression,
                "gzip": grpc.Compression.Gzip,
                "deflate": grpc.Compression.Deflate,
            }[terms.compress],
        }

    def describe(self, deadline_ns: int) -> Signature:
        """The model's metadata."""
        told, _ = self._ask("ModelMetadata", self._pb.ModelMetadataRequest(name=self._model), deadline_ns)
        inputs, outputs = (
            {each.name: (each.datatype, tuple(each.shape)) for each in side} for side in (told.inputs, told.outputs)
        )
        return Signature(self._model, inputs, outputs)

    def prepare(self, inputs: Tensors, request_id: str) -> Callable[[int], Exchange]:
        """Tensors go raw."""
        request = self._pb.ModelInferRequest(model_name=self._model, id=request_id)
        put(inputs, request.inputs, request.raw_input_contents)
        up_bytes = request.ByteSize()

        def send(deadline_ns: int) -> Exchange:
            begun_ns = self._clock.now_ns()
            reply, call = self._ask("ModelInfer", request, deadline_ns)
            received_ns = self._clock.now_ns()
            if reply.id not in ("", request_id):
                raise MalformedTensor(f"the reply is to request {reply.id!r}, not {request_id!r}")
            outputs = take(reply.outputs, reply.raw_output_contents)
            told_ns = compute_ns(_timing(call))
            if told_ns is None:
                return Exchange(outputs, begun_ns, received_ns, received_ns, None)
            travelled_ns = max(received_ns - begun_ns - told_ns, 0)
            sent_ns = begun_ns + travelled_ns * up_bytes // (up_bytes + reply.ByteSize())
            answered_ns = received_ns - (travelled_ns - (sent_ns - begun_ns))
            return Exchange(outputs, sent_ns, answered_ns, received_ns, told_ns)

        return send

    def computed(self, deadline_ns: int) -> tuple[int, int] | None:
        """From the statistics extension."""
        try:
            told, _ = self._ask("ModelStatistics", self._pb.ModelStatisticsRequest(name=self._model), deadline_ns)
        except RequestRefused:
            return None
        if not told.model_stats:
            return None
        counted = told.model_stats[0].inference_stats.compute_infer
        return counted.count, counted.ns

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _ask(self, method: str, request: Any, deadline_ns: int) -> tuple[Any, Any]:
        left_ns = deadline_ns - self._clock.now_ns()
        if left_ns <= 0:
            raise NoAnswer("no answer in time")
        call = getattr(self._stub_of(self._opened()), method)
        try:
            reply, told = call.with_call(request, timeout=left_ns * 1e-9, **self._calls)
        except self._grpc.RpcError as error:
            raise self._failure(error) from error
        return reply, told

    def _opened(self) -> Any:
        if self._channel is None:
            options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
            if self._secure:
                roots = None if self._terms.ca_pem is None else self._terms.ca_pem.encode()
                credentials = self._grpc.ssl_channel_credentials(roots)
                self._channel = self._grpc.secure_channel(self._address, credentials, options)
            else:
                self._channel = self._grpc.insecure_channel(self._address, options)
        return self._channel

    def _failure(self, error: Any) -> Exception:
        codes, code, detail = self._grpc.StatusCode, error.code(), error.details() or ""
        if code == codes.DEADLINE_EXCEEDED:
            return NoAnswer("no answer in time")
        if "CERTIFICATE_VERIFY_FAILED" in detail:
            return RequestRefused(f"{detail}; give the endpoint a `ca_file` that vouches for it")
        if code == codes.UNAVAILABLE:
            return Unavailable(detail)
        if code in (codes.UNAUTHENTICATED, codes.PERMISSION_DENIED):
            return RequestRefused(f"{detail}: give the endpoint the server's token (token_file or token_env)")
        if code in (codes.INVALID_ARGUMENT, codes.NOT_FOUND, codes.FAILED_PRECONDITION, codes.UNIMPLEMENTED):
            return RequestRefused(f"{code.name} {detail}")
        return NoAnswer(f"{code.name} {detail}")


def _timing(call: Any) -> str | None:
    found = [value for key, value in call.trailing_metadata() or () if key == SERVER_TIMING.lower()]
    return found[0] if found else None
