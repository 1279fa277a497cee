"""One serial Monsoon LVPM on its wire: its commands, its status, its packets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from power import monsoon_protocol as protocol
from power.errors import MonitorSilent, PowerError, WrongDevice
from power.monsoon_ports import PortLock
from power.monsoon_protocol import Packets, Passthrough, Status
from power.port import Port

REPLY_NS, QUIET_NS, DRAIN_NS = 1_000_000_000, 50_000_000, 2_000_000_000
PASSTHROUGH_POLL_S, PASSTHROUGH_POLLS = 1.0, 60
"""how the public tools wait for it (AOSP/CTS tools/utils/monsoon.py)"""
RAMP_START_V, RAMP_STEP_V, RAMP_PAUSE_S = 3.0, 0.1, 0.1
"""switching straight to the voltage may trip the start-up limit (AOSP/CTS tools/utils/monsoon.py)"""
FULL_BYTES = 3968
"""where Linux throttles a serial line: its buffer of 4096 bytes less 128 (drivers/tty/n_tty.c)"""
MOST_BYTES = 16 * FULL_BYTES
"""taken at once, to catch up"""
ATTEMPTS = 3
PROBES, PROBE_PAUSE_S = 2, 1.0
"""a monitor that just came up may need a moment"""


class MonsoonLink:
    """Takes the port and its lock, ends a stream that a killed process left running, and asks who is there.

    Raises `WrongDevice` where no LVPM answers, `PortMissing`, `PortBusy`, `MonitorGone`. `close` is safe at any time.
    """

    def __init__(
        self,
        port: str,
        wait_s: float,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.port = port
        self._wait_s, self._now, self._sleep = wait_s, clock, sleep
        self._decoder = protocol.Decoder()
        self.was_full = False
        """whether the port's buffer was, before the latest read: what came after may be lost"""
        self._lock = PortLock(port)
        try:
            self._wire = Port(port, protocol.BAUD)
        except BaseException:
            self._lock.release()
            raise
        try:
            self.quieten()
            self.found = self.status()
            """its status when it was found"""
        except BaseException as error:
            self.close()
            if isinstance(error, MonitorSilent):
                raise WrongDevice(
                    f"monsoon-lvpm on {port}: no Monsoon LVPM answers there; is it the right port?"
                ) from error
            raise

    def close(self) -> None:
        """Give the port and its lock back."""
        self._wire.close()
        self._lock.release()

    def read(self, wait_s: float) -> Packets:
        """The packets that came; waits for the first byte at most `wait_s`."""
        data = chunk = self._wire.read(wait_s)
        self.was_full = len(chunk) >= FULL_BYTES
        while len(chunk) >= FULL_BYTES and len(data) < MOST_BYTES:
            chunk = self._wire.read(0.0)
            data += chunk
        return self._decoder.feed(data)

    def quieten(self) -> None:
        """Stop whatever runs and throw away what still comes. Raises `MonitorSilent` if that never ends."""
        self._wire.write(protocol.STOP)
        heard_ns = begun_ns = self._now()
        while (now_ns := self._now()) - heard_ns < QUIET_NS:
            if self._wire.read(self._wait_s):
                heard_ns = now_ns
            if now_ns - begun_ns > DRAIN_NS:
                raise MonitorSilent(f"monsoon-lvpm on {self.port} does not stop talking; is it a Monsoon LVPM?")
        self._decoder = protocol.Decoder()

    def status(self) -> Status:
        """Ask for the status; not while sampling. Raises `MonitorSilent`."""
        for _ in range(ATTEMPTS):
            self._decoder = protocol.Decoder()
            self._wire.write(protocol.GET_STATUS)
            until_ns = self._now() + REPLY_NS
            while self._now() < until_ns:
                if found := self.read(self._wait_s).status:
                    return found[-1]
        raise MonitorSilent(f"monsoon-lvpm on {self.port} does not answer")

    def start(self) -> None:
        """Begin to sample, from silence."""
        self.quieten()
        self._wire.write(protocol.START)

    def limit(self, power_up_a: float, run_time_a: float) -> None:
        """Set the current limits at switch-on and afterwards."""
        self._wire.write(protocol.set_current_limits(power_up_a, run_time_a))

    def ramp(self, voltage_v: float) -> None:
        """Raise main in small steps, from where it is."""
        step_v = max(RAMP_START_V, self.found.main_voltage_v)
        while step_v < voltage_v:
            self._wire.write(protocol.set_voltage(step_v))
            self._sleep(RAMP_PAUSE_S)
            step_v += RAMP_STEP_V
        self._wire.write(protocol.set_voltage(voltage_v))

    def switch_off(self) -> None:
        """Take main's voltage away. Raises `MonitorSilent` when it does not go."""
        self._wire.write(protocol.set_voltage(0.0))
        self._confirm(lambda status: status.main_voltage_v < protocol.LEAST_MAIN_V, "main is still on")

    def pass_usb_through(self, mode: Passthrough) -> None:
        """Connect or disconnect the USB output, and see it done. Raises `MonitorSilent` when it is not."""
        self._wire.write(protocol.set_passthrough(mode))
        self._confirm(lambda status: status.passthrough == mode, f"its USB passthrough is not {mode.name.lower()}")

    def _confirm(self, done: Callable[[Status], bool], trouble: str) -> None:
        for _ in range(PASSTHROUGH_POLLS):
            if done(self.status()):
                return
            self._sleep(PASSTHROUGH_POLL_S)
        raise MonitorSilent(
            f"monsoon-lvpm on {self.port} does not do as it is told: {trouble} after {PASSTHROUGH_POLLS} s; "
            "switch it off and on"
        )


def find(
    ports: Sequence[str],
    serial_number: int | None,
    link: Callable[[str], MonsoonLink],
    sleep: Callable[[float], None] = time.sleep,
) -> MonsoonLink:
    """The first LVPM among `ports`, or the one of that serial number. Raises `WrongDevice` with what each port said."""
    for probe in range(PROBES):
        said: list[str] = []
        for port in ports:
            try:
                there = link(port)
            except PowerError as error:
                said.append(str(error))
                continue
            if serial_number in (None, there.found.serial_number):
                return there
            said.append(f"{port} is the Monsoon of serial number {there.found.serial_number}")
            there.close()
        if probe + 1 < PROBES:
            sleep(PROBE_PAUSE_S)
    wanted = "a Monsoon LVPM" if serial_number is None else f"the Monsoon LVPM of serial number {serial_number}"
    raise WrongDevice(f"{wanted} was not found: {'; '.join(said) or 'there is no serial port for one'}; plug it in")
