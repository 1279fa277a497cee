"""What is done to packets in one direction, in plain numbers both ends of the agent's channel can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isclose
from typing import Any

SMALLEST = {
    "rate_bps": 8.0,
    "delay_s": 64e-9,
    "jitter_s": 64e-9,
    "loss": 2.0**-31,
    "delay_correlation": 2.0**-31,
    "reorder": 2.0**-31,
    "duplicate": 2.0**-31,
    "corrupt": 2.0**-31,
    "burst": 2.0**-31,
    "queue_packets": 0.0,
}
"""the steps in which the kernel counts: bytes a second, ticks of 64 ns before LATENCY64, 32 bits for a share of 1"""
RATE_ONLY = ("rate_bps",)
"""what a kernel without netem can do"""


class Mismatch(OSError):
    """The kernel reads back something else than it was told."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One direction. A rate of 0 lets nothing through, a rate of infinity everything."""

    rate_bps: float
    """bits on the wire, all headers from Ethernet's on"""
    delay_s: float
    jitter_s: float
    loss: float
    queue_packets: int
    distribution: str
    """"uniform", "normal" or "pareto\""""
    delay_correlation: float
    burst: tuple[float, float, float, float] | None
    """p, r, 1-h, 1-k of Gilbert and Elliott's loss"""
    reorder: float
    duplicate: float
    corrupt: float

    def plain(self) -> dict[str, Any]:
        """As it travels."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Shape:
        """The inverse of `plain`."""
        burst = plain["burst"]
        return cls(**{**plain, "burst": None if burst is None else tuple(burst)})


def require_same(asked: Shape, observed: Shape, where: str, *, rate_only: bool) -> None:
    """Raises Mismatch, which shows both, unless the kernel holds what it was told, to its smallest step."""
    told, holds = asked.plain(), observed.plain()
    names = RATE_ONLY if rate_only else tuple(SMALLEST)
    wrong = [name for name in names if not _same(told[name], holds[name], SMALLEST[name])]
    if wrong:
        shown = "; ".join(f"{name} asked {told[name]}, reads back {holds[name]}" for name in wrong)
        raise Mismatch(f"{where} does not hold what it was told: {shown}")


def _same(told: Any, holds: Any, step: float) -> bool:
    if told is None or holds is None:
        return told is holds
    if isinstance(told, tuple):
        return all(_same(one, other, step) for one, other in zip(told, holds, strict=True))
    return told == holds or isclose(told, holds, rel_tol=1e-6, abs_tol=step)
