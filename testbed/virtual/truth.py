"""What only a virtual board knows: the true means of every action at the present moment.

On the board's own processors the law gives them in closed form. Of a remote target they are means over draws from the
very functions the virtual radio and the virtual server draw from, always with the same random numbers. Energies are the
whole board's over one inference, from its start to its end; the wait for a stream's next frame is not part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from scheduler.contract import REMOTE_TARGETS, Action, Means, Task
from testbed.agent.contract import CoRun
from testbed.virtual import silicon
from testbed.virtual.air import Air, Seconds, round_trip
from testbed.virtual.machines import MACHINES
from testbed.virtual.networks import Work
from testbed.virtual.profile import Profile
from testbed.virtual.tuning import AS_BUILT, Tuned, Tuning

DRAWS = 4000
SEED = 20200506
REMOTE_MACHINES: Mapping[str, str] = MappingProxyType({"cloud": "a30", "edge": "xavier-nx"})
"""which virtual server stands behind a remote target"""
PATIENCE_S = 2.0
"""after which a client gives up on a remote target of which `give_up_after` was not told"""


@dataclass(frozen=True, slots=True)
class Present:
    """The condition the board is in."""

    co_run: CoRun
    temperature_c: float
    throttled: bool
    airs: Mapping[str, Air]
    """remote target -> the air on the way to it"""
    tuning: Tuning = AS_BUILT
    clocks_hz: Mapping[str, float | None] = field(default_factory=dict)
    """processor -> what it runs at when an action leaves that open; the highest where nothing stands"""


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is to a processor and to the network."""

    work: Mapping[str, Work]
    """by precision"""
    up_bytes: int
    down_bytes: int


@dataclass(frozen=True, slots=True)
class _Trip:
    """Means over the draws, and the draws' latencies in order."""

    transmit_s: float
    receive_s: float
    latency_s: float
    latencies_s: NDArray[np.float64]


class Truth:
    """Implements `TrueMeans`."""

    def __init__(self, profile: Profile, present: Callable[[], Present], request_of: Callable[[str], Request]) -> None:
        """`request_of` takes a network's name; it raises LookupError for one it does not know."""
        self._profile = profile
        self._present = present
        self._request_of = lru_cache(maxsize=256)(request_of)
        self._tuned = Tuned(profile)
        self._trip = lru_cache(maxsize=1024)(_trip)
        self._patience_s: dict[str, float] = {}

    def __call__(self, task: Task, actions: Sequence[Action]) -> Sequence[Means]:
        """Raises LookupError for a network the board does not know."""
        present = self._present()
        return [self.means(task, action, present) for action in actions]

    def give_up_after(self, target: str, patience_s: float) -> None:
        """How long the board's client waits for an answer of a remote target."""
        self._patience_s[target] = patience_s

    def means(self, task: Task, action: Action, present: Present) -> Means:
        """The truth about one action under a condition."""
        request = self._request_of(task.network.name)
        profile = self._tuned.profile(present.tuning)
        base_w = silicon.base_power_w(profile, present.co_run, present.temperature_c)
        if action.target in REMOTE_TARGETS:
            return self._remote(task, action, request, present.airs[action.target], base_w)
        law = self._tuned.inference(
            present.tuning,
            action.target,
            request.work[action.precision],
            action.precision,
            present.clocks_hz.get(action.target) if action.frequency_hz is None else action.frequency_hz,
            present.co_run,
            present.throttled,
        )
        latency_s = law.mean_latency_s()
        return Means(base_w * latency_s + law.busy_j, latency_s, law.p_within(task.qos_s))

    def _remote(self, task: Task, action: Action, request: Request, air: Air, base_w: float) -> Means:
        trip = self._trip(
            air,
            REMOTE_MACHINES[action.target],
            task.network.macs,
            action.precision,
            request.up_bytes,
            request.down_bytes,
            self._patience_s.get(action.target, PATIENCE_S),
        )
        radio = self._profile.radio
        extra_j = (radio.transmit_w(air.rssi_dbm) - radio.idle_w) * trip.transmit_s
        extra_j += (radio.receive_w(air.rssi_dbm) - radio.idle_w) * trip.receive_s
        p_qos = float(np.searchsorted(trip.latencies_s, task.qos_s, "right")) / DRAWS
        return Means(base_w * trip.latency_s + extra_j, trip.latency_s, p_qos)


@dataclass(frozen=True, slots=True)
class Trips:
    """Requests to a remote target as the board's client lives through them, each of shape (size,)."""

    transmit_s: Seconds
    receive_s: Seconds
    latency_s: Seconds
    """never more than the client's patience"""


def trips(
    random: np.random.Generator,
    air: Air,
    machine: str,
    macs: int,
    precision: str,
    up_bytes: int,
    down_bytes: int,
    patience_s: float,
    size: int,
) -> Trips:
    """Draw `size` requests, independent of each other; one that outlasts `patience_s` is given up."""
    service_s = MACHINES[machine].service_s(random, macs, precision, size)
    drawn = round_trip(random, air, up_bytes, down_bytes, service_s, size)
    transmit_s = np.minimum(drawn.transmit_s, patience_s)
    answered_s = np.minimum(transmit_s + drawn.wait_s, patience_s)
    latency_s = np.minimum(answered_s + drawn.receive_s, patience_s)
    return Trips(transmit_s, latency_s - answered_s, latency_s)


def _trip(
    air: Air, machine: str, macs: int, precision: str, up_bytes: int, down_bytes: int, patience_s: float
) -> _Trip:
    random = np.random.default_rng(SEED)
    drawn = trips(random, air, machine, macs, precision, up_bytes, down_bytes, patience_s, DRAWS)
    return _Trip(
        transmit_s=float(drawn.transmit_s.mean()),
        receive_s=float(drawn.receive_s.mean()),
        latency_s=float(drawn.latency_s.mean()),
        latencies_s=np.sort(drawn.latency_s),
    )
