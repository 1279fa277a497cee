"""What a kind of board or monitor brings to a bench file, and where the kinds are found.

A third party adds a kind with a subclass and an entry point in the group `testbed.boards` or `testbed.monitors`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from power import PowerMonitor
from testbed.config.loader import Strict
from testbed.config.power_switch import PowerSwitchSettings
from testbed.config.quantities import Hertz, Seconds, Volts
from testbed.errors import BenchError


@dataclass(frozen=True, slots=True)
class Program:
    """A far-end program: a module to run, and its arguments."""

    module: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """What a board can draw from its supply."""

    voltage_v: tuple[float, float]
    """the range its input accepts"""
    power_w: float
    """the most it draws"""
    source: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A meter found at this host."""

    place: str
    """port, bus address or folder"""
    what: str
    """what it says it is"""
    settings: Mapping[str, object]
    """the `monitor` block of a bench file"""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """setting -> what the person must look up, where the meter cannot tell"""
    trouble: str = ""
    """why it cannot be used as it stands, with the cure"""


class Agent(Strict):
    """Where the board's agent runs."""

    via: str = Field(default="local", pattern=r"^(local|ssh://[^\s/]+)$")
    """"local", or "ssh://user@host:port"; user and port may be left to ssh's own configuration"""
    ssh_config: Path | None = None
    """another configuration file for ssh than the person's own"""
    python: str | None = None
    """the board's Python; the controller's own where the agent is local, else python3"""
    reconnect_s: Seconds = Field(default=120.0, ge=0, le=86400)
    """how long a board that was lost is waited for, as it may be restarting; 0: the run stops at once"""
    answer_s: Seconds = Field(default=600.0, gt=0, le=86400)
    """a board that answers a trial no sooner is held to hang"""


Steps = Literal["all"] | Annotated[int, Field(ge=2)] | Annotated[list[Hertz], Field(min_length=1)]
"""frequency steps that are kept: all, so many evenly spaced, or those named"""


class BoardSettings(Strict):
    """The device under test, as a bench file describes it."""

    kind: str
    agent: Agent = Agent()
    supply_voltage_v: Volts = Field(gt=0, le=1000)
    """voltage at the board's input"""
    power: PowerSwitchSettings | None = None
    """what cuts the board's supply; absent: it is never cut"""
    frequencies: dict[str, Steps] = Field(default_factory=dict)
    """target -> the steps that suites may choose from; all of a target that is not named"""

    @property
    @abstractmethod
    def opener(self) -> str:
        """`module:function` that opens the board inside the agent."""

    @property
    @abstractmethod
    def packages(self) -> tuple[str, ...]:
        """Packages the agent needs beyond its own."""

    @property
    @abstractmethod
    def provenance(self) -> Literal["virtual", "measured"]:
        """Whether what this board does is simulated."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """What a reader of the results must know, such as constants altered for a demo."""

    @property
    @abstractmethod
    def draw(self) -> Draw | None:
        """What the board can draw, where that is known."""

    @property
    def marker_wired(self) -> bool:
        """Whether an output of the board is wired to the meter's marker input; a kind that can do so says it."""
        return False

    def anchored(self, folder: Path) -> BoardSettings:
        """The same with the files it names looked for in `folder`, where the bench file lies."""
        return self

    @abstractmethod
    def agent_config(self, supply: Path | None, seed: int) -> dict[str, object]:
        """What the opener is given. `supply` is the file a simulated board writes its power to."""


class MonitorSettings(Strict):
    """A power monitor, as a bench file describes it."""

    kind: str

    @property
    @abstractmethod
    def emulated(self) -> bool:
        """Whether an emulator stands in for the device, as it must on a virtual board."""

    @classmethod
    def answers_at(cls, port: str) -> Attached | None:
        """The meter of this kind on a serial port, left as it was; None when none answers. Bounded in time.

        Raises a PowerError for a port that cannot be asked. Kinds without a serial port do not answer.
        """
        return None

    @classmethod
    def attached(cls, root: Path) -> Iterable[Attached]:
        """Meters of this kind that are found without a serial port: on USB, or under `root` (as `/`) in sysfs."""
        return ()

    def anchored(self, folder: Path) -> MonitorSettings:
        """The same with the files it names looked for in `folder`, where the bench file lies."""
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What a reader of the results must know, such as a card its readings were corrected by."""
        return ()

    def require_board(self, identity: Mapping[str, Any]) -> None:
        """Raises BenchError where what the settings name holds for another board than this."""

    @property
    def marker_input(self) -> bool:
        """Whether the meter's marker input, where its driver has one, can be reached by a wire."""
        return True

    @abstractmethod
    def far_end(self, supply: Path, supply_voltage_v: float, seed: int) -> Program | None:
        """The emulator, which reads the file `supply`; None where the device itself is there."""

    @abstractmethod
    def build(self, board: BoardSettings, far_end: Mapping[str, Any] | None) -> PowerMonitor:
        """The driver, not yet opened; `far_end` is what the emulator said when it was ready."""

    @abstractmethod
    def wiring_problems(self, board: BoardSettings) -> list[str]:
        """Why this meter could not feed or sense this board; each with its cure."""


def board_kinds() -> dict[str, type[BoardSettings]]:
    """Board kinds by name, from the entry points of the installed packages."""
    return _kinds("testbed.boards", BoardSettings)


def monitor_kinds() -> dict[str, type[MonitorSettings]]:
    """Monitor kinds by name, from the entry points of the installed packages."""
    return _kinds("testbed.monitors", MonitorSettings)


def _kinds(group: str, base: type[Strict]) -> dict[str, type]:
    kinds = {}
    for point in entry_points(group=group):
        kind = point.load()
        if not (isinstance(kind, type) and issubclass(kind, base)):
            raise BenchError(f"the plug-in '{point.name}' ({point.value}) is no {base.__name__}; mend or uninstall it")
        kinds[point.name] = kind
    return kinds
