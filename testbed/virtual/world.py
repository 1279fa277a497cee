"""A virtual board in virtual time: the same law, air, machines and sensors, with nobody waiting for them.

Chance is drawn for whole episodes at once, a stream for each action, so that every policy meets the same. The board is
as warm as it settles beside its co-runner: requests are taken to come far enough apart for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.contract import REMOTE_TARGETS, Action, Means, State
from testbed.agent.contract import CoRun
from testbed.arena.contract import Job, Sample, Truth
from testbed.moment import Moment
from testbed.virtual import silicon
from testbed.virtual.air import Air
from testbed.virtual.config import PROFILES
from testbed.virtual.networks import work_of
from testbed.virtual.profile import Profile
from testbed.virtual.telemetry import read_load, read_signal
from testbed.virtual.thermal import Thermal
from testbed.virtual.truth import REMOTE_MACHINES, Present, Request, Trips, trips
from testbed.virtual.truth import Truth as Oracle

AMBIENT_C = 25.0
AirAt = Callable[[float], Mapping[str, float]]
"""signal in dBm -> the fields of `air.Air`"""


def processors(profile: str) -> tuple[dict[str, list[str]], dict[str, list[float]]]:
    """Precisions of each processor and remote target, and the frequency steps of those that have some.

    Raises ValueError for a profile there is not.
    """
    found = _profile(profile).processors
    precisions = {name: list(processor.precisions) for name, processor in found.items()}
    steps = {name: list(processor.circuit.frequencies_hz) for name, processor in found.items()}
    remote = {name: ["fp32", "fp16", "int8"] for name in sorted(REMOTE_TARGETS)}
    return precisions | remote, {name: each for name, each in steps.items() if len(each) > 1}


def open_world(profile: str, actions: Sequence[Action], air_at: AirAt, patience_s: float) -> VirtualWorld:
    """The board of a profile with these actions; its client gives up on an answer after `patience_s`."""
    return VirtualWorld(_profile(profile), tuple(actions), air_at, patience_s)


def _profile(name: str) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"there is no virtual board '{name}'; there are {', '.join(PROFILES)}")
    return PROFILES[name]


@dataclass(frozen=True, slots=True)
class Laws:
    """The law of each of the board's own actions under one load; arrays of shape (actions,)."""

    busy_s: NDArray[np.float64]
    busy_j: NDArray[np.float64]
    deviation: NDArray[np.float64]
    probability: NDArray[np.float64]
    least_s: NDArray[np.float64]
    shape: NDArray[np.float64]
    means: tuple[tuple[float, float, float], ...]
    """of each action: extra energy in J, latency in s, P(latency <= QoS)"""

    @staticmethod
    def of(laws: Sequence[silicon.Inference], qos_s: float) -> Laws:
        """Side by side."""
        return Laws(
            busy_s=np.array([law.busy_s for law in laws]),
            busy_j=np.array([law.busy_j for law in laws]),
            deviation=np.array([law.deviation for law in laws]),
            probability=np.array([law.stalls.probability for law in laws]),
            least_s=np.array([law.stalls.least_s for law in laws]),
            shape=np.array([law.stalls.shape for law in laws]),
            means=tuple((law.busy_j, law.mean_latency_s(), law.p_within(qos_s)) for law in laws),
        )


class VirtualWorld:
    """Implements `World`."""

    provenance = "virtual"

    def __init__(self, profile: Profile, actions: tuple[Action, ...], air_at: AirAt, patience_s: float) -> None:
        self.profile, self.actions, self.patience_s = profile, actions, patience_s
        self.local = [action for action in actions if action.target not in REMOTE_TARGETS]
        self._air_at = air_at
        self._airs: dict[float, Air] = {}
        self._jobs: dict[str, Job] = {}
        self._laws: dict[tuple[str, CoRun, bool], Laws] = {}
        self._truths: dict[tuple[str, Moment], Truth] = {}
        self._oracle = Oracle(profile, _nothing_present, self._request_of)
        for target in REMOTE_TARGETS:
            self._oracle.give_up_after(target, patience_s)

    def episode(
        self, job: Job, moments: Sequence[Moment], seen: Sequence[Moment], seed: Sequence[int]
    ) -> VirtualEpisode:
        """Raises ValueError when an action asks what the board cannot do."""
        self._jobs[job.task.name] = job
        return VirtualEpisode(self, job, moments, seen, seed)

    def idle_power_w(self, moment: Moment) -> float:
        """Co-runner and leakage included."""
        load = CoRun(moment.co_cpu, moment.co_memory)
        return silicon.base_power_w(self.profile, load, self.temperature_c(load))

    def temperature_c(self, load: CoRun) -> float:
        """Where the board settles beside a co-runner."""
        resting = Thermal(self.profile.cooling, AMBIENT_C, self.profile.idle_w)
        return resting.settled_c(silicon.base_power_w(self.profile, load, resting.temperature_c))

    def air(self, rssi_dbm: float) -> Air:
        """The air at a signal."""
        if rssi_dbm not in self._airs:
            self._airs[rssi_dbm] = Air(**self._air_at(rssi_dbm))
        return self._airs[rssi_dbm]

    def truth(self, job: Job, moment: Moment) -> Truth:
        """True means of every action."""
        key = job.task.name, moment
        if key not in self._truths:
            load = CoRun(moment.co_cpu, moment.co_memory)
            airs = {"cloud": self.air(moment.rssi_dbm), "edge": self.air(moment.peer_rssi_dbm)}
            present = Present(load, self.temperature_c(load), moment.throttled, airs)
            base_w = self.idle_power_w(moment)
            truth = {
                action: Means(base_w * latency_s + extra_j, latency_s, p_qos)
                for action, (extra_j, latency_s, p_qos) in zip(self.local, self.laws(job, moment).means, strict=True)
            }
            remote = {a: self._oracle.means(job.task, a, present) for a in self.actions if a not in truth}
            self._truths[key] = {action: (truth | remote)[action] for action in self.actions}
        return self._truths[key]

    def laws(self, job: Job, moment: Moment) -> Laws:
        """Of the board's own actions, under the moment's load."""
        load = CoRun(moment.co_cpu, moment.co_memory)
        key = job.task.name, load, moment.throttled
        if key not in self._laws:
            work = self._request_of(job.task.network.name).work
            found = [
                silicon.inference(
                    self.profile, a.target, work[a.precision], a.precision, a.frequency_hz, load, moment.throttled
                )
                for a in self.local
            ]
            self._laws[key] = Laws.of(found, job.task.qos_s)
        return self._laws[key]

    def _request_of(self, network: str) -> Request:
        job = next(job for job in self._jobs.values() if job.task.network.name == network)
        macs = job.task.network.macs
        work = {precision: work_of(network, precision, macs, moved) for precision, moved in job.bytes_moved.items()}
        return Request(work, job.up_bytes, job.down_bytes)


def _nothing_present() -> Present:
    raise LookupError("virtual time has no present moment: ask for the means of a moment")


class VirtualEpisode:
    """Implements `Episode`."""

    def __init__(
        self, world: VirtualWorld, job: Job, moments: Sequence[Moment], seen: Sequence[Moment], seed: Sequence[int]
    ) -> None:
        self._world, self._job, self._moments, self._seed = world, job, moments, tuple(seed)
        self.states = _states(np.random.default_rng([*seed, _SENSORS]), job, seen)
        self.truths = [world.truth(job, moment) for moment in moments]
        self._column = {action: column for column, action in enumerate(world.local)}
        self._draw_local()
        self._trips: dict[Action, tuple[Trips, NDArray[np.float64]]] = {}

    def sample(self, trial: int, action: Action) -> Sample:
        """Raises KeyError for an action the board does not have."""
        if action.target not in REMOTE_TARGETS:
            column = self._column[action]
            return Sample(self._latency_s.item(trial, column), self._energy_j.item(trial, column))
        if action not in self._trips:
            self._trips[action] = self._draw_trips(action)
        drawn, energy_j = self._trips[action]
        latency_s = drawn.latency_s.item(trial)
        transmit_s, receive_s = drawn.transmit_s.item(trial), drawn.receive_s.item(trial)
        return Sample(latency_s, energy_j.item(trial), transmit_s, receive_s, latency_s >= self._world.patience_s)

    def _draw_local(self) -> None:
        """Latencies and energies of all own actions in all trials, shape (trials, actions)."""
        world, job = self._world, self._job
        kinds = {moment: kind for kind, moment in enumerate(dict.fromkeys(self._moments))}
        kind = np.array([kinds[moment] for moment in self._moments])
        laws = [world.laws(job, moment) for moment in kinds]
        self._base_w = np.array([world.idle_power_w(moment) for moment in kinds])[kind]

        def each(name: str) -> NDArray[np.float64]:
            values: NDArray[np.float64] = np.stack([getattr(law, name) for law in laws])[kind]
            return values

        random = np.random.default_rng([*self._seed, _SILICON])
        size = len(self._moments), len(world.local)
        fate = silicon.fates(random, each("deviation"), each("probability"), each("least_s"), each("shape"), size)
        self._latency_s: NDArray[np.float64] = each("busy_s") * fate.factor + fate.stall_s
        self._energy_j: NDArray[np.float64] = self._base_w[:, None] * self._latency_s + each("busy_j") * fate.factor

    def _draw_trips(self, action: Action) -> tuple[Trips, NDArray[np.float64]]:
        """A remote action's requests in all trials, with the energy of each."""
        world, job = self._world, self._job
        near = action.target == "edge"
        signal = np.array([m.peer_rssi_dbm if near else m.rssi_dbm for m in self._moments])
        drawn = Trips(*(np.empty(len(signal)) for _ in range(3)))
        power_w = np.empty((2, len(signal)))
        radio = world.profile.radio
        stream = [*self._seed, _AIR, world.actions.index(action)]
        for dbm in np.unique(signal):
            here = signal == dbm
            part = trips(
                np.random.default_rng([*stream, round(-dbm)]),
                world.air(float(dbm)),
                REMOTE_MACHINES[action.target],
                job.task.network.macs,
                action.precision,
                job.up_bytes,
                job.down_bytes,
                world.patience_s,
                int(here.sum()),
            )
            drawn.transmit_s[here], drawn.receive_s[here] = part.transmit_s, part.receive_s
            drawn.latency_s[here] = part.latency_s
            power_w[:, here] = [[radio.transmit_w(dbm) - radio.idle_w], [radio.receive_w(dbm) - radio.idle_w]]
        energy_j = self._base_w * drawn.latency_s + power_w[0] * drawn.transmit_s + power_w[1] * drawn.receive_s
        return drawn, energy_j


_SENSORS, _SILICON, _AIR = 1, 2, 3
"""streams of chance in an episode"""


def _states(random: np.random.Generator, job: Job, seen: Sequence[Moment]) -> list[State]:
    """What the sensors tell of each moment."""
    columns = (
        read_load(random, [moment.co_cpu for moment in seen]),
        read_load(random, [moment.co_memory for moment in seen]),
        read_signal(random, [moment.rssi_dbm for moment in seen]),
        read_signal(random, [moment.peer_rssi_dbm for moment in seen]),
    )
    return [State(job.task, *values) for values in zip(*(column.tolist() for column in columns), strict=True)]
