"""Joules: power monitors, their samples on the controller's clock, and energy with its uncertainty."""

from power.clock import ClockFit, fit_round_trips
from power.energy import Energy, cut
from power.errors import (
    BenchError,
    BridgeRestarted,
    MonitorGone,
    MonitorSilent,
    OutputTripped,
    PortBusy,
    PortMissing,
    PowerError,
    SensorFault,
    TraceIncomplete,
    TransientError,
    Unintelligible,
    WindowTooShort,
    WrongDevice,
)
from power.ina_bridge import InaBridge
from power.monitor import Channel, Kind, MonitorSpec, PowerMonitor
from power.monsoon_lvpm import MonsoonLvpm
from power.recorder import Recorder
from power.samples import Samples

__all__ = [
    "BenchError",
    "BridgeRestarted",
    "Channel",
    "ClockFit",
    "Energy",
    "InaBridge",
    "Kind",
    "MonitorGone",
    "MonitorSilent",
    "MonitorSpec",
    "MonsoonLvpm",
    "OutputTripped",
    "PortBusy",
    "PortMissing",
    "PowerError",
    "PowerMonitor",
    "Recorder",
    "Samples",
    "SensorFault",
    "TraceIncomplete",
    "TransientError",
    "Unintelligible",
    "WindowTooShort",
    "WrongDevice",
    "cut",
    "fit_round_trips",
]
