"""The protocol's gRPC service, over the same models, with the messages of `tritonclient[grpc]`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed.agent.contract import Tensors
from testbed.agent.server_timing import SERVER_TIMING, timing
from testbed.agent.tensors import MalformedTensor
from testbed.agent.tensors_grpc import put, take
from testbed.serve.access import may_enter, refuse_open_door
from testbed.serve.engine import TensorSpec
from testbed.serve.protocol import Models, Outputs, ProtocolError

_CODES = {
    HTTPStatus.BAD_REQUEST: "INVALID_ARGUMENT",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
}
_GRACE_S = 5.0
"""for calls under way when the service ends"""


class GrpcService:
    """Serves from entering to leaving."""

    def __init__(
        self,
        models: Models,
        host: str,
        port: int,
        request_bytes: int,
        calls: int,
        token: str | None = None,
        certificate_and_key: tuple[Path, Path] | None = None,
    ) -> None:
        """At most so many `calls` run at once; `port` 0 takes a free one.

        Raises ValueError where gRPC is not installed, or for an address beyond this machine without a token, and
        OSError where the address cannot be had.
        """
        refuse_open_door(host, token)
        try:
            import grpc
            from tritonclient.grpc import service_pb2, service_pb2_grpc
        except ModuleNotFoundError as missing:
            raise ValueError(
                f"serving gRPC needs {missing.name}: run `pip install 'tritonclient[grpc]'`, or leave --grpc-port out"
            ) from None
        limit = [("grpc.max_receive_message_length", request_bytes), ("grpc.max_send_message_length", -1)]
        self._pool = ThreadPoolExecutor(calls, thread_name_prefix="grpc")
        options = [*limit, ("grpc.so_reuseport", 0)]
        self._server: Any = grpc.server(self._pool, options=options, maximum_concurrent_rpcs=calls)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            _servicer(models, token, grpc, service_pb2, service_pb2_grpc), self._server
        )
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if certificate_and_key is None:
                bound = self._server.add_insecure_port(address)
            else:
                certificate, key = (path.read_bytes() for path in certificate_and_key)
                bound = self._server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
        except RuntimeError as error:
            raise OSError(f"{address} cannot be listened at: {error}") from None
        self.url = f"{'grpc' if certificate_and_key is None else 'grpcs'}://{address.rpartition(':')[0]}:{bound}"

    def __enter__(self) -> GrpcService:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(_GRACE_S).wait()
        self._pool.shutdown()


def _servicer(models: Models, token: str | None, grpc: Any, pb: Any, base: Any) -> Any:
    """An instance of the protocol's servicer; what it does not override is UNIMPLEMENTED."""

    def guarded(answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
        def call(self: Any, request: Any, context: Any) -> Any:
            try:
                headers = dict(context.invocation_metadata())
                if not may_enter(token, headers.get("authorization")):
                    raise ProtocolError(HTTPStatus.UNAUTHORIZED, "this server wants its token, as a bearer")
                return answer(request, context)
            except ProtocolError as error:
                return context.abort(getattr(grpc.StatusCode, _CODES.get(error.status, "INTERNAL")), str(error))

        return call

    def model_metadata(request: Any, context: Any) -> Any:
        served = models.served(request.name, request.version)
        engine = served.engine

        def described(specs: Any) -> list[Any]:
            return [_described(pb.ModelMetadataResponse.TensorMetadata, spec) for spec in specs]

        return pb.ModelMetadataResponse(
            name=request.name,
            versions=[served.version],
            platform=engine.platform,
            inputs=described(engine.inputs),
            outputs=described(engine.outputs),
        )

    def model_ready(request: Any, context: Any) -> Any:
        try:
            models.served(request.name, request.version)
        except ProtocolError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    def statistics(request: Any, context: Any) -> Any:
        if request.name:
            models.served(request.name, request.version)
        counted = [pb.ModelStatistics(**each) for each in models.statistics(request.name)]
        return pb.ModelStatisticsResponse(model_stats=counted)

    def index(request: Any, context: Any) -> Any:
        return pb.RepositoryIndexResponse(models=models.index())

    def infer(request: Any, context: Any) -> Any:
        served = models.served(request.model_name, request.model_version)

        def read() -> Tensors:
            return take(request.inputs, request.raw_input_contents)

        def pack(outputs: Outputs) -> Any:
            wanted = [output.name for output in request.outputs] or [spec.name for spec in served.engine.outputs]
            if unknown := sorted(set(wanted) - outputs.keys()):
                raise MalformedTensor(f"model '{request.model_name}' has no output {unknown}; it has {list(outputs)}")
            reply = pb.ModelInferResponse(model_name=request.model_name, model_version=served.version, id=request.id)
            put({name: outputs[name] for name in wanted}, reply.outputs, reply.raw_output_contents)
            return reply

        reply, computed_ns = models.infer(request.model_name, read, pack)
        context.set_trailing_metadata(((SERVER_TIMING.lower(), timing(computed_ns)),))
        return reply

    answers = {
        "ServerLive": lambda request, context: pb.ServerLiveResponse(live=True),
        "ServerReady": lambda request, context: pb.ServerReadyResponse(ready=True),
        "ServerMetadata": lambda request, context: pb.ServerMetadataResponse(**models.about()),
        "ModelReady": model_ready,
        "ModelMetadata": model_metadata,
        "ModelStatistics": statistics,
        "RepositoryIndex": index,
        "ModelInfer": infer,
    }
    methods = {name: guarded(answer) for name, answer in answers.items()}
    return type("Servicer", (base.GRPCInferenceServiceServicer,), methods)()


def _described(metadata: Any, spec: TensorSpec) -> Any:
    return metadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)
