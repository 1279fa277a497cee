"""What a model was asked since the server began, in the form of Triton's statistics extension."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Times:
    """Of one inference, ns."""

    queue_ns: int
    input_ns: int
    """its tensors were read"""
    infer_ns: int
    output_ns: int
    """its reply was made"""


class Statistics:
    """Of one model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = self._failed = self._failed_ns = self._last_ms = 0
        self._sums = Times(0, 0, 0, 0)

    def succeeded(self, times: Times) -> None:
        """Count an inference that was answered."""
        with self._lock:
            was = self._sums
            self._count += 1
            self._last_ms = time.time_ns() // 1_000_000
            self._sums = Times(
                was.queue_ns + times.queue_ns,
                was.input_ns + times.input_ns,
                was.infer_ns + times.infer_ns,
                was.output_ns + times.output_ns,
            )

    def failed(self, spent_ns: int) -> None:
        """Count an inference that was not."""
        with self._lock:
            self._failed += 1
            self._failed_ns += spent_ns

    def as_json(self, name: str, version: str) -> dict[str, Any]:
        """Plain values."""
        with self._lock:
            count, sums = self._count, self._sums
            parts = {
                "success": (count, sums.queue_ns + sums.input_ns + sums.infer_ns + sums.output_ns),
                "fail": (self._failed, self._failed_ns),
                "queue": (count, sums.queue_ns),
                "compute_input": (count, sums.input_ns),
                "compute_infer": (count, sums.infer_ns),
                "compute_output": (count, sums.output_ns),
            }
            return {
                "name": name,
                "version": version,
                "last_inference": self._last_ms,
                "inference_count": count,
                "execution_count": count,
                "inference_stats": {part: {"count": n, "ns": ns} for part, (n, ns) in parts.items()},
            }
