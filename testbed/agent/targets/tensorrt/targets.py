"""Every target that TensorRT gives on this board."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.agent.contract import CannotLoad, Clock, Target
from testbed.agent.targets.tensorrt import reporting
from testbed.agent.targets.tensorrt.cache import EngineCache, default_folder
from testbed.agent.targets.tensorrt.driver import probe
from testbed.agent.targets.tensorrt.library import Library, open_library
from testbed.agent.targets.tensorrt.order import Device, int8_form
from testbed.agent.targets.tensorrt.target import TensorRtTarget

if TYPE_CHECKING:
    import tensorrt

_log = logging.getLogger(__name__)

MOST_DLA_CORES = 2
"""of an AGX Orin; no Jetson has more"""


@dataclass(frozen=True, slots=True)
class TensorRtTargets:
    """What a board composes its own targets of."""

    processors: Mapping[str, tuple[str, ...]]
    """gpu, dla0, dla1, where there -> precisions"""
    forms: Mapping[str, Mapping[str, str]]
    """processor -> precision -> the form of file it wants"""
    absent: Mapping[str, str]
    """those that are not there -> why, and the cure"""
    targets: Mapping[str, Target]

    @classmethod
    def discover(cls, clock: Clock, *, graph: bool = False) -> TensorRtTargets:
        """Those of this board: none where there is no TensorRT, or no GPU. `graph`: use CUDA graphs."""
        every = [Device(), *(Device(core) for core in range(MOST_DLA_CORES))]
        absent: dict[str, str] = {}
        targets: dict[str, Target] = {}
        try:
            library = open_library()
            probe()
            cores = _dla_cores(library)
        except CannotLoad as error:
            return cls({}, {}, {device.name: str(error) for device in every}, {})
        found = []
        for device in every:
            try:
                if device.dla_core is not None:
                    library.require_dla(cores, device.dla_core)
            except CannotLoad as error:
                absent[device.name] = str(error)
                continue
            found.append(device)
            targets[device.name] = TensorRtTarget(library, device, clock, EngineCache(default_folder()), graph=graph)
        return cls(
            {device.name: device.precisions for device in found},
            {device.name: {"int8": int8_form(library, device)} for device in found},
            absent,
            targets,
        )


NONE_LOOKED_FOR = TensorRtTargets({}, {}, {}, {})
"""of a board that does not ask"""


def _dla_cores(library: Library) -> int:
    complaints = reporting.Complaints()
    with reporting.starting(library, complaints):
        builder: tensorrt.Builder = library.trt.Builder(reporting.logger(library, complaints))
    return builder.num_DLA_cores
