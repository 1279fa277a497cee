"""The law of a board whose knobs are turned: fewer cores, a slower memory. Clocks are the law's own arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from testbed.agent.contract import CoRun
from testbed.virtual import silicon
from testbed.virtual.networks import Work
from testbed.virtual.profile import Processor, Profile


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the silicon feels of a board's knobs."""

    cores_on: int | None = None
    """None: all"""
    memory: float = 1.0
    """clock of the memory, relative to its highest"""


AS_BUILT = Tuning()


class Tuned:
    """A board under every tuning; what was asked once is remembered."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.profile = lru_cache(maxsize=64)(self._of)
        self.inference = lru_cache(maxsize=4096)(self._inference)

    def _of(self, tuning: Tuning) -> Profile:
        if tuning == AS_BUILT:
            return self._profile
        profile = self._profile
        cores = profile.cores if tuning.cores_on is None else tuning.cores_on
        return replace(
            profile,
            cores=cores,
            cpu_full_w=profile.cpu_full_w * cores / profile.cores,
            processors=MappingProxyType(
                {name: _turned(each, cores, tuning.memory) for name, each in profile.processors.items()}
            ),
        )

    def _inference(
        self,
        tuning: Tuning,
        name: str,
        work: Work,
        precision: str,
        frequency_hz: float | None,
        co_run: CoRun,
        throttled: bool,
    ) -> silicon.Inference:
        return silicon.inference(self.profile(tuning), name, work, precision, frequency_hz, co_run, throttled)


def _turned(processor: Processor, cores: int, memory: float) -> Processor:
    """An inference that finds fewer cores than it wants computes as much slower, and draws as much less."""
    circuit = processor.circuit
    share = min(1.0, cores / circuit.threads)
    return Processor(
        replace(
            circuit,
            threads=min(circuit.threads, cores),
            bandwidth_bytes_per_s=circuit.bandwidth_bytes_per_s * memory,
        ),
        MappingProxyType(
            {
                key: replace(anchor, rate_macs_per_s=anchor.rate_macs_per_s * share, power_w=anchor.power_w * share)
                for key, anchor in processor.anchors.items()
            }
        ),
    )
