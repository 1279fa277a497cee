"""The GPU, or a core of the DLA, as a target."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from testbed.agent.contract import CannotLoad, Clock, Model
from testbed.agent.targets.tensorrt import reporting
from testbed.agent.targets.tensorrt.builder import build
from testbed.agent.targets.tensorrt.cache import EngineCache, key
from testbed.agent.targets.tensorrt.calibration import entropy_calibrator
from testbed.agent.targets.tensorrt.cuda import Cuda, CudaError, OutOfDeviceMemory, open_cuda
from testbed.agent.targets.tensorrt.driver import Gpu, probe
from testbed.agent.targets.tensorrt.inspection import require_precision
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.order import Device, Order, order
from testbed.agent.targets.tensorrt.session import TensorRtSession

if TYPE_CHECKING:
    import tensorrt

_log = logging.getLogger(__name__)


class TensorRtTarget:
    """One device of TensorRT. Engines are built on first use, and kept on the board's disk."""

    def __init__(self, library: Library, device: Device, clock: Clock, cache: EngineCache, *, graph: bool) -> None:
        """`graph`: sessions launch their engine as a CUDA graph."""
        self._library = library
        self._device = device
        self._clock = clock
        self._cache = cache
        self._graph = graph
        self._cuda: Cuda | None = None

    def load(self, model: Model, precision: str) -> TensorRtSession:
        """Build the engine or find it, and make it ready to run. Raises CannotLoad, with the cure."""
        wanted = order(self._library, model, precision, self._device)
        gpu = probe()
        try:
            if self._cuda is None:
                self._cuda = open_cuda()
                _log.info("CUDA through %s on %s (SM %d)", type(self._cuda).__name__, gpu.name, gpu.sm)
            cuda = self._cuda
            with cuda.current():
                engine = self._engine(wanted, gpu, cuda)
            return TensorRtSession(self._library, engine, cuda, self._clock, wanted.title, graph=self._graph)
        except OutOfDeviceMemory as error:
            raise CannotLoad(
                f"{wanted.title}: the device's memory is used up ({error}): close what else runs on it, or leave out "
                "actions, each of which keeps an engine loaded"
            ) from error
        except CudaError as error:
            raise CannotLoad(f"{wanted.title}: CUDA fails: {error}") from error
        except OSError as error:  # the model's file, or the engines' folder
            raise CannotLoad(f"{wanted.title}: {error}") from error

    def _engine(self, wanted: Order, gpu: Gpu, cuda: Cuda) -> tensorrt.ICudaEngine:
        version, device = self._library.version, wanted.device.name
        identity = key(version, gpu, wanted)
        plan = self._cache.plan(identity)
        if plan is not None:
            try:
                return self._deserialised(plan, wanted)
            except CannotLoad as error:
                _log.warning("%s; it is built again", error)
        with ExitStack() as owned:
            calibrator = None
            if wanted.calibration is not None:
                calibrator = owned.enter_context(entropy_calibrator(self._library, wanted.calibration, cuda))
            built = build(self._library, wanted, self._cache.timing(version, gpu, device), calibrator)
        engine = self._deserialised(built.plan, wanted)
        require_precision(self._library, wanted, engine)
        self._cache.put_plan(identity, built.plan)
        self._cache.put_timing(version, gpu, device, built.timing)
        return engine

    def _deserialised(self, plan: bytes, wanted: Order) -> tensorrt.ICudaEngine:
        """Raises CannotLoad for a plan of another version or another GPU: TensorRT can tell only by trying."""
        complaints = reporting.Complaints()
        with reporting.starting(self._library, complaints):
            runtime: tensorrt.Runtime = self._library.trt.Runtime(reporting.logger(self._library, complaints))
        if wanted.device.dla_core is not None:
            runtime.DLA_core = wanted.device.dla_core
        engine: tensorrt.ICudaEngine | None = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise CannotLoad(
                f"{wanted.title}: TensorRT {self._library.version} cannot read the engine: {complaints.take()}"
            )
        return engine
