"""What can go wrong between a meter and its joules, in two families: a person mends one, a retry the other."""

from __future__ import annotations


class PowerError(Exception):
    """Anything this room raises on purpose."""


class BenchError(PowerError):
    """The bench is wrong (configuration, cabling, permissions): a person mends it, a retry will not."""


class TransientError(PowerError):
    """Something passed or vanished: close, reopen and retry, with a bound."""


class PortMissing(BenchError):
    """No such serial port, or no permission to open it."""


class PortBusy(BenchError):
    """Another process holds the serial port."""


class WrongDevice(BenchError):
    """What answers on the port is not the monitor that was asked for, or speaks another protocol version."""


class SensorFault(BenchError):
    """The sensor does not answer, may not be read, or did not take its configuration."""


class BoardUnreachable(BenchError):
    """No sampler can be started where the sensor is: no way there, or no Python."""


class MonitorGone(TransientError):
    """The device vanished from its port: unplugged, or powered off."""


class MonitorSilent(TransientError):
    """The port is open, but nothing (or nothing intelligible) comes out of it."""


class Unintelligible(TransientError):
    """Bytes with a sound check sum that are not what their type promises."""


class BridgeRestarted(TransientError):
    """The bridge restarted; its index and its clock began anew."""


class OutputTripped(BenchError):
    """The monitor's own output shut down: over-current or heat."""


class WindowTooShort(PowerError):
    """The window is shorter than the monitor can resolve; run the inference `repetitions` times back to back."""

    def __init__(self, window_s: float, shortest_s: float, repetitions: int, monitor: str) -> None:
        super().__init__(
            f"a window of {window_s * 1e3:.3g} ms is too short for {monitor}, "
            f"which needs {shortest_s * 1e3:.3g} ms; repeat what was measured {repetitions} times back to back"
        )
        self.window_s = window_s
        self.shortest_s = shortest_s
        self.repetitions = repetitions
        self._monitor = monitor

    def advised(self, advice: str) -> WindowTooShort:
        """The same, with a word more."""
        longer = WindowTooShort(self.window_s, self.shortest_s, self.repetitions, self._monitor)
        longer.args = (f"{self}; {advice}",)
        return longer


class OutOfReach(PowerError):
    """No number of repetitions makes the energy so sure: what the meter itself is off by does not average out."""

    def __init__(self, relative: float, reachable: float, meter: str = "the meter") -> None:
        super().__init__(
            f"a relative standard uncertainty of {relative:.2g} is out of reach: gain and offset of {meter} leave "
            f"{reachable:.2g}, however often it is repeated; ask for more than that, or calibrate the meter"
        )
        self.reachable = reachable


class PulseLost(TransientError):
    """The sync pulse does not show in the trace."""


class TraceIncomplete(TransientError):
    """The trace does not cover the window, or too many of its samples are missing."""
