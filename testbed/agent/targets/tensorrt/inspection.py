"""What the layers of a built engine compute in: TensorRT falls back on FP32 without a word where that is faster."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.agent.contract import CannotLoad
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.order import Order

if TYPE_CHECKING:
    import tensorrt

_log = logging.getLogger(__name__)

_WORDS = {
    "fp32": re.compile(r"\b(FP32|Float)\b", re.IGNORECASE),
    "fp16": re.compile(r"\b(FP16|Half)\b", re.IGNORECASE),
    "int8": re.compile(r"\bInt8\b", re.IGNORECASE),
}
"""as the engine inspector names them, in "Row major linear FP16 format" (8, 10) or "Half" (newer)"""


@dataclass(frozen=True, slots=True)
class Layers:
    """How many layers yield each precision."""

    yielding: Mapping[str, int]
    hidden: int
    """compiled as one by Myelin, whose inside the inspector does not show"""

    def __str__(self) -> str:
        counts = [f"{count} in {precision}" for precision, count in self.yielding.items()]
        return ", ".join([*counts, *([f"{self.hidden} that do not show it"] if self.hidden else [])]) or "none"


def layers(information: str) -> Layers:
    """The layers in the inspector's JSON. Raises ValueError for what is not such a text."""
    described = json.loads(information)
    if not isinstance(described, dict) or not isinstance(described.get("Layers"), list):
        raise ValueError("no layers are described")
    yielding: Counter[str] = Counter()
    hidden = 0
    for layer in described["Layers"]:
        if not isinstance(layer, dict):
            hidden += 1  # its name alone
            continue
        name, kind = str(layer.get("Name", "")), str(layer.get("LayerType", ""))
        if kind == "Myelin" or name.startswith("{ForeignNode"):
            hidden += 1
            continue
        outputs = layer.get("Outputs")
        listed = outputs if isinstance(outputs, list) else []
        formats = [output.get("Format/Datatype", "") for output in listed if isinstance(output, dict)]
        yielding.update(p for p, word in _WORDS.items() if any(word.search(str(text)) for text in formats))
    return Layers(dict(yielding), hidden)


def require_precision(library: Library, order: Order, engine: tensorrt.ICudaEngine) -> None:
    """Raises CannotLoad when no layer of the engine computes at the precision of its order."""
    if order.device.dla_core is not None:
        return  # it has FP16 and INT8 alone, and what the GPU takes over was logged
    inspector: tensorrt.EngineInspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(library.trt.LayerInformationFormat.JSON)
    try:
        found = layers(text)
    except ValueError as error:
        _log.warning("%s: what its layers compute in is not known (%s)", order.title, error)
        return
    _log.info("%s: layers: %s", order.title, found)
    if order.precision in found.yielding:
        return
    if found.hidden:
        _log.warning("%s: no layer shows that it computes in %s: %s", order.title, order.precision, found)
        return
    raise CannotLoad(
        f"{order.title}: TensorRT computes no layer in {order.precision} (layers: {found}); measured as "
        f"{order.precision} it would mislead. Leave the action out, or give a file whose types ask for it"
    )
