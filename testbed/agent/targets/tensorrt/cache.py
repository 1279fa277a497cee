"""Engines and timings on the board's disk, found again by what they were built from and for.

An engine holds for one version of TensorRT on one model of GPU. Its file is named by a digest of all that it depends
on, and carries a digest of its content: one that was cut short is built again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from testbed.agent.targets.tensorrt.driver import Gpu
from testbed.agent.targets.tensorrt.order import WORKSPACE_BYTES, Order

_log = logging.getLogger(__name__)

_DIGEST_BYTES = 32
"""of SHA-256, before the content"""


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/testbed/engines`, as the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "testbed" / "engines"


def key(version: str, gpu: Gpu, order: Order) -> Mapping[str, object]:
    """All that an engine depends on. Raises OSError when the model's file cannot be read."""
    inputs = [{name: _digest(tensor.tobytes()) for name, tensor in sorted(t.items())} for t in order.calibration or ()]
    return {
        "tensorrt": version,
        "gpu": gpu.name,
        "sm": gpu.sm,
        "device": order.device.name,
        "precision": order.precision,
        "onnx": _digest(order.path.read_bytes()),
        "shapes": {name: list(shape) for name, shape in sorted(order.shapes.items())},
        "calibration": inputs,
        "workspace_bytes": WORKSPACE_BYTES,
    }


class EngineCache:
    """A folder of plans and timing caches. Remove it whenever you like: all of it can be made again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def plan(self, key: Mapping[str, object]) -> bytes | None:
        """The plan built for `key`; None where there is none, or a damaged one."""
        return self._get(self._plan(key))

    def put_plan(self, key: Mapping[str, object], plan: bytes) -> None:
        """Keep a plan."""
        self._put(self._plan(key), plan)

    def timing(self, version: str, gpu: Gpu, device: str) -> bytes:
        """What earlier builds timed with this version on this device; empty where there is nothing."""
        return self._get(self._timing(version, gpu, device)) or b""

    def put_timing(self, version: str, gpu: Gpu, device: str, timing: bytes) -> None:
        """Keep what the last build knows, which includes what it was given."""
        self._put(self._timing(version, gpu, device), timing)

    def _plan(self, key: Mapping[str, object]) -> Path:
        return self._folder / f"{_digest(json.dumps(key, sort_keys=True).encode())}.plan"

    def _timing(self, version: str, gpu: Gpu, device: str) -> Path:
        return self._folder / f"{_digest(json.dumps([version, gpu.name, gpu.sm, device]).encode())}.timing"

    def _get(self, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() == digest:
            return content
        _log.warning("%s is damaged and will be made again", path)
        return None

    def _put(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".incoming-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
