"""What a calibration measures: conditions, and how many of each kind a plan asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from scheduler.contract import Action

Kind = Literal["idle", "cpu", "memory", "network", "radio", "thermal"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing to measure. What its kind has no use for stays at its default."""

    kind: Kind
    cores: int = 0
    utilisation: float = 0.0
    frequency_hz: float | None = None
    memory: float = 0.0
    """of the memory bandwidth, 0..1"""
    target: str = ""
    precision: str = ""
    network: str = ""
    """a calibration network, or a transfer"""
    rssi_dbm: float = 0.0
    rate_share: float = 1.0
    """of the data rate that goes with the signal"""
    duration_s: float = 0.0
    """the longest a thermal steady state is waited for"""
    power_mode: str | None = None
    """None: the board's as the bench has it"""
    held_out: bool = False
    """whether it validates the model instead of fitting it"""

    @staticmethod
    def from_dict(entry: Mapping[str, Any]) -> Condition:
        """Back from the folder. Raises pydantic's ValidationError."""
        return TypeAdapter(Condition).validate_python(entry)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def action(self) -> Action:
        """That its inferences run under."""
        return Action(self.target, self.precision, self.frequency_hz)

    def __str__(self) -> str:
        at = "" if self.frequency_hz is None else f" @{self.frequency_hz / 1e6:.0f}MHz"
        if self.kind == "cpu":
            return f"{self.cores} cores {self.utilisation:.0%}{at}"
        if self.kind == "memory":
            return f"memory {self.memory:.0%}"
        if self.kind == "network":
            return f"{self.network} on {self.target}/{self.precision}{at}"
        if self.kind == "radio":
            return f"{self.network} to {self.target} at {self.rssi_dbm:.0f} dBm, {self.rate_share:.0%} of the rate"
        return self.kind + (f" in {self.power_mode}" if self.power_mode else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    name: str
    cpu_steps: int
    """CPU frequencies loaded on all cores; at most all there are"""
    grid_steps: int
    """of them also loaded on fewer cores and for less of the time"""
    utilisations: tuple[float, ...]
    network_steps: int
    """frequencies of each processor at which networks run"""
    networks: tuple[str, ...]
    """of the zoo, that the model is fitted to"""
    unseen_networks: tuple[str, ...]
    """that it is only validated on, at `unseen_steps` frequencies"""
    unseen_steps: int
    memory: tuple[float, ...]
    rssi_dbm: tuple[float, ...]
    rate_shares: tuple[float, ...]
    repetitions: tuple[int, int]
    """least and most"""
    half_width: float
    """of the 95 % confidence interval, relative to the whole board's power; not reached: measured once more"""
    sentinel_every: int
    thermal_s: float
    """longest a thermal steady state is waited for; 0: none is"""

    @staticmethod
    def from_dict(entry: Mapping[str, Any]) -> Plan:
        """Back from the folder. Raises pydantic's ValidationError."""
        return TypeAdapter(Plan).validate_python(entry)


QUICK = Plan(
    name="quick",
    cpu_steps=24,
    grid_steps=3,
    utilisations=(0.25, 0.5, 1.0),
    network_steps=9,
    networks=("mobilenet-v2", "resnet50"),
    unseen_networks=("efficientnet-lite0",),
    unseen_steps=3,
    memory=(0.25, 0.5, 1.0),
    rssi_dbm=(-80.0, -76.0, -72.0, -66.0, -58.0),
    rate_shares=(1.0, 0.5),
    repetitions=(2, 3),
    half_width=0.02,
    sentinel_every=40,
    thermal_s=0.0,
)
FULL = replace(
    QUICK,
    name="full",
    cpu_steps=64,
    grid_steps=8,
    utilisations=(0.1, 0.25, 0.5, 0.75, 1.0),
    network_steps=64,
    networks=("mobilenet-v2", "resnet50", "mobilebert"),
    unseen_steps=8,
    memory=(0.1, 0.25, 0.5, 0.75, 1.0),
    rssi_dbm=(-82.0, -80.0, -78.0, -76.0, -74.0, -72.0, -70.0, -66.0, -62.0, -58.0),
    rate_shares=(1.0, 0.5, 0.25),
    repetitions=(3, 10),
    half_width=0.005,
    thermal_s=300.0,
)
PLANS: Mapping[str, Plan] = {plan.name: plan for plan in (QUICK, FULL)}

UPLOADS, DOWNLOADS = ("upload-32k", "upload-64k", "upload-256k"), ("download-32k", "download-64k", "download-256k")
"""transfers, by what they carry (`testbed.calibrate.transfers`); less would vanish in the kernel's buffers at once"""
TRANSFER_BYTES: Mapping[str, int] = {name: int(name.rpartition("-")[2][:-1]) * 1024 for name in (*UPLOADS, *DOWNLOADS)}
LONGEST_TRANSFER_S = 0.6
"""at the mean rate; longer ones would make a calibration long"""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a board and its bench have."""

    cores: int
    processors: Mapping[str, Sequence[str]]
    """of the board alone"""
    frequencies_hz: Mapping[str, Sequence[float]]
    power_modes: Sequence[str]
    rates_bps: Mapping[float, float]
    """signal -> data rate, where there is a link that can be shaped"""
    remotes: Sequence[str]
    """the targets whose radio is to be calibrated"""


def conditions(plan: Plan, offer: Offer) -> list[Condition]:
    """Everything the plan asks for and the bench has, in no order of time."""
    return [
        *_cpu(plan, offer),
        *(Condition("memory", memory=share) for share in plan.memory),
        *_networks(plan, offer),
        *_radio(plan, offer),
        *(Condition("idle", power_mode=mode) for mode in (None, *offer.power_modes)),
        *(
            [Condition("thermal", cores=offer.cores, utilisation=1.0, duration_s=plan.thermal_s)]
            if plan.thermal_s
            else []
        ),
    ]


def spread(values: Sequence[float], count: int) -> list[float]:
    """`count` of ascending values, evenly, both ends among them; all where there are no more."""
    if count >= len(values):
        return list(values)
    if count == 1:
        return [values[-1]]
    return [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]


def _steps(offer: Offer, target: str, count: int) -> list[float | None]:
    """Frequencies of a processor; one, None, where its clock cannot be set."""
    steps = offer.frequencies_hz.get(target, ())
    return list(spread(sorted(steps), count)) if steps else [None]


def _cpu(plan: Plan, offer: Offer) -> Iterator[Condition]:
    every = _steps(offer, "cpu", plan.cpu_steps)
    for frequency_hz in every:
        yield Condition("cpu", cores=offer.cores, utilisation=1.0, frequency_hz=frequency_hz)
    counts = sorted({1, max(1, offer.cores // 2), offer.cores})
    grid = [every[0]] if len(every) == 1 else spread([step for step in every if step is not None], plan.grid_steps)
    for number, frequency_hz in enumerate(grid):
        for cores in counts:
            for place, utilisation in enumerate(plan.utilisations):
                if cores != offer.cores or utilisation != 1.0:
                    # Of every frequency and number of cores some are held out, a Latin square.
                    held_out = (number + counts.index(cores) + place) % 3 == 0
                    yield Condition(
                        "cpu", cores=cores, utilisation=utilisation, frequency_hz=frequency_hz, held_out=held_out
                    )


def _networks(plan: Plan, offer: Offer) -> Iterator[Condition]:
    for target, precisions in offer.processors.items():
        for precision in precisions:
            steps = _steps(offer, target, plan.network_steps)
            for network in plan.networks:
                for frequency_hz in steps:
                    yield _network(network, target, precision, frequency_hz)
            for network in plan.unseen_networks:
                for frequency_hz in _steps(offer, target, plan.unseen_steps):
                    yield _network(network, target, precision, frequency_hz, held_out=True)
            # Frequencies between two that were fitted, where there are any left.
            between = [step for step in offer.frequencies_hz.get(target, ()) if step not in steps]
            for frequency_hz in spread(between, 2) if between else ():
                yield _network(plan.networks[0], target, precision, frequency_hz, held_out=True)


def _network(
    network: str, target: str, precision: str, frequency_hz: float | None, *, held_out: bool = False
) -> Condition:
    return Condition(
        "network",
        network=network,
        target=target,
        precision=precision,
        frequency_hz=frequency_hz,
        held_out=held_out,
    )


def _radio(plan: Plan, offer: Offer) -> Iterator[Condition]:
    for target in offer.remotes:
        for place, rssi_dbm in enumerate(plan.rssi_dbm):
            rate_bps = offer.rates_bps.get(rssi_dbm, 0.0)
            for share in plan.rate_shares if rate_bps else ():
                for name in (_fitting(names, rate_bps * share) for names in (UPLOADS, DOWNLOADS)):
                    if name is None:
                        continue
                    yield Condition(
                        "radio",
                        target=target,
                        precision="fp32",
                        network=name,
                        rssi_dbm=rssi_dbm,
                        rate_share=share,
                        # Another rate at the same signal draws the same power, or the model is wrong.
                        held_out=share != plan.rate_shares[0] and place % 2 == 0,
                    )


def _fitting(names: Sequence[str], rate_bps: float) -> str | None:
    """The largest transfer that does not last too long; None where all do."""
    within = [name for name in names if 8 * TRANSFER_BYTES[name] / rate_bps <= LONGEST_TRANSFER_S]
    return within[-1] if within else None
