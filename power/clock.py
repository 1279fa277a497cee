"""A device's clock on the controller's: round trips where the device answers, a lower envelope where it only talks."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from power.errors import MonitorSilent
from power.samples import FloatArray, IntArray

KEEP_ONE_OF = 8
"""of so many round trips the quickest is kept: the NTP clock filter, RFC 5905 section 10"""
CRYSTAL_DRIFT = 50e-6
"""standard deviation assumed of a crystal's rate before anything is known; datasheets state 10 to 100 ppm"""
REFIT = 20
"""a fit is due again when one of so many slots is new"""
SLEW = 500e-6
"""the fastest a steered clock closes on a better fit: within a window it changes the energy by at most 0.05 %"""
ROUNDS = 3
"""of lateness and slope of an envelope, each found with the other"""


@dataclass(frozen=True, slots=True)
class ClockFit:
    """A straight line from a device's time to the controller's, with what is known of its error (k = 1)."""

    device_ns: int
    """where on the device's clock the line is best known"""
    controller_ns: int
    """the controller's time at that moment"""
    drift: float
    """controller seconds per device second, less one"""
    residual_s: float
    """root mean square of the points kept about the line; of an envelope, their median height above it"""
    standard_uncertainty_s: float
    """of the mapping at `device_ns`"""
    drift_standard_uncertainty: float

    def to_controller(self, device_ns: ArrayLike) -> IntArray:
        """Controller time in ns of device times in ns, same shape."""
        since = np.asarray(device_ns, np.int64) - self.device_ns
        return np.asarray(self.controller_ns + since + np.rint(since * self.drift).astype(np.int64))

    def uncertainty_s(self, device_ns: int) -> float:
        """Standard uncertainty of the mapping at a device time; it grows away from the points of the fit."""
        away_s = (device_ns - self.device_ns) * 1e-9
        return math.hypot(self.standard_uncertainty_s, away_s * self.drift_standard_uncertainty)

    def uncertainty_at_s(self, controller_ns: int) -> float:
        """The same, for a moment of the controller's clock."""
        return self.uncertainty_s(self.device_ns + round((controller_ns - self.controller_ns) / (1.0 + self.drift)))


def known(fit: ClockFit | None, monitor: str) -> ClockFit:
    """The fit of a monitor's clock. Raises `MonitorSilent`, with the monitor's name, while there is none."""
    if fit is None:
        raise MonitorSilent(f"{monitor}: its clock is not known before its first samples")
    return fit


def fit_round_trips(
    t0_ns: ArrayLike, t1_ns: ArrayLike, t2_ns: ArrayLike, t3_ns: ArrayLike, *, drift_prior: float = CRYSTAL_DRIFT
) -> ClockFit:
    """Fit a device's clock from n round trips, each of shape (n,): sent and received by the controller at t0 and t3,
    received and sent by the device, on its own clock, at t1 and t2.

    Of each 8 in a row the quickest is kept, unless it took more than twice as long as the quickest of all. The moment
    at the device lies anywhere within the round trip's delay, so its standard uncertainty is delay / sqrt(12); what is
    asymmetric in the path does not average out.
    `drift_prior` is the standard deviation of the device's rate as far as it is known beforehand.
    """
    t0, t1, t2, t3 = (np.atleast_1d(np.asarray(t, np.int64)) for t in (t0_ns, t1_ns, t2_ns, t3_ns))
    delay = (t3 - t0) - (t2 - t1)
    firsts = range(0, len(delay), KEEP_ONE_OF)
    best = np.array([first + int(np.argmin(delay[first : first + KEEP_ONE_OF])) for first in firsts])
    best = best[delay[best] <= 2 * delay.min()]
    device = (t1 + (t2 - t1) // 2)[best]
    offset = (t0 + (t3 - t0) // 2)[best] - device
    spread_s = np.maximum(delay[best] * 1e-9, 1e-6) / math.sqrt(12.0)
    fit = fit_events(device, device + offset, spread_s, drift_prior=drift_prior)
    return replace(fit, standard_uncertainty_s=math.hypot(float(spread_s.min()), fit.residual_s / math.sqrt(len(best))))


def fit_events(
    device_ns: ArrayLike,
    controller_ns: ArrayLike,
    spread_s: ArrayLike,
    *,
    drift: float = 0.0,
    drift_prior: float = CRYSTAL_DRIFT,
) -> ClockFit:
    """Fit a device's clock to n > 0 events that both clocks saw, each of shape (n,), with independent errors.

    `spread_s` is the standard uncertainty of each; `drift` is the device's rate as far as it is known beforehand, and
    `drift_prior` how well.
    """
    device, controller = (np.asarray(time_ns, np.int64) for time_ns in (device_ns, controller_ns))
    offset = controller - device
    x = (device - device[0]) * 1e-9
    y = (offset - offset[0]) * 1e-9 - drift * x
    weight = np.asarray(spread_s, np.float64) ** -2
    x_mean, y_mean = float(np.average(x, weights=weight)), float(np.average(y, weights=weight))
    known = float(np.sum(weight * (x - x_mean) ** 2)) + drift_prior**-2
    further = float(np.sum(weight * (x - x_mean) * (y - y_mean))) / known
    residual_s = float(np.sqrt(np.average((y - y_mean - further * (x - x_mean)) ** 2, weights=weight)))
    return ClockFit(
        device_ns=int(device[0]) + round(x_mean * 1e9),
        controller_ns=int(controller[0]) + round((x_mean * (1.0 + drift) + y_mean) * 1e9),
        drift=drift + further,
        residual_s=residual_s,
        standard_uncertainty_s=math.hypot(float(np.sum(weight)) ** -0.5, residual_s / math.sqrt(len(x))),
        drift_standard_uncertainty=known**-0.5,
    )


class LowerEnvelope:
    """The clock of a device that only talks: no byte arrives before its sample's end plus the wire's least latency, so
    the line that supports the arrivals from below is the device's clock, late by that latency.

    A reader that stalls only adds late arrivals, which do not touch the line. Keeps the earliest arrival of each slot
    of device time over a sliding horizon.
    """

    SLOT_NS = 50_000_000
    SLOTS = 400

    def __init__(
        self, latency_s: float, latency_standard_uncertainty_s: float, drift_prior: float = CRYSTAL_DRIFT
    ) -> None:
        self._latency_s = latency_s
        self._latency_u_s = latency_standard_uncertainty_s
        self._prior = drift_prior
        self._points: deque[tuple[int, int]] = deque(maxlen=self.SLOTS)
        self._late_s = 0.0
        self._unfitted = 0

    def add(self, device_ns: int, arrival_ns: int) -> bool:
        """Note that the sample ended at `device_ns` had arrived at `arrival_ns`. True when a fit would tell more.

        That is when slots were completed, a twentieth of those there are: a fit looks at all of them.
        """
        if self._points and self._points[-1][0] // self.SLOT_NS == device_ns // self.SLOT_NS:
            last_device, last_arrival = self._points[-1]
            if arrival_ns - device_ns < last_arrival - last_device:
                self._points[-1] = (device_ns, arrival_ns)
            return False
        self._points.append((device_ns, arrival_ns))
        self._unfitted += 1
        return len(self._points) > 1 and self._unfitted * REFIT >= len(self._points)

    def earliest_ns(self, device_ns: int, fit: ClockFit) -> int:
        """When, by the latest fit, a sample that ended at `device_ns` arrives at the earliest."""
        return int(fit.to_controller(device_ns)) + round((self._latency_s + self._late_s) * 1e9)

    def fit(self) -> ClockFit:
        """The line as known now; `ValueError` before the first arrival.

        The earliest arrival is late too: a sample waits for its packet and the packet for the reader, so lateness
        begins like a Rayleigh distribution, and the earliest of n is late by about its median over sqrt(n). (The
        median, because a reader that stalls is no measure of the wire.) A few points lie closer to the line that best
        supports them than to the true one, so how late they are and how far their slope is believed follow together.
        """
        self._unfitted = 0
        device, arrival = np.array(self._points, np.int64).T
        x = (device - device[0]) * 1e-9
        y = (arrival - arrival[0] - (device - device[0])) * 1e-9
        slope = _slope_below(x, y)
        drift = 0.0
        for _ in range(ROUNDS):
            height = y - drift * x
            late_s = float(np.median(height - height.min())) / max(math.sqrt(len(x)) - 1.0, 1.0)
            known = math.sqrt(8.0) * late_s / max(float(x[-1]), 1e-3)  # two touching points, half the span apart
            drift = slope * self._prior**2 / (self._prior**2 + known**2)
        self._late_s = late_s
        height = y - drift * x
        touch = int(np.argmin(height))
        return ClockFit(
            device_ns=int(device[touch]),
            controller_ns=int(arrival[touch]) - round((self._latency_s + self._late_s) * 1e9),
            drift=drift,
            residual_s=float(np.median(height - height[touch])),
            standard_uncertainty_s=math.hypot(self._latency_u_s, self._late_s),
            drift_standard_uncertainty=(self._prior**-2 + known**-2) ** -0.5 if known else 0.0,
        )


def _slope_below(x: FloatArray, y: FloatArray) -> float:
    """Slope of the line under all points (x ascending) with the least sum of heights above it.

    It is the edge of the lower convex hull over the mean of x (Zhang, Liu, Xia, "Clock synchronization algorithms for
    network measurements", INFOCOM 2002).
    """
    hull: list[tuple[float, float]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(hull) > 1 and _turn(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    middle = float(x.mean())
    for (x0, y0), (x1, y1) in pairwise(hull):
        if x1 >= middle:
            return (y1 - y0) / (x1 - x0)
    return 0.0


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


class SteeredClock:
    """Maps device times in order, without a jump: a better fit is approached at no more than `SLEW`."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def as_kept(self, fit: ClockFit) -> ClockFit:
        """The fit, less sure by how far the last mapped time still lies off it."""
        if self._last is None:
            return fit
        device, controller = self._last
        off_s = (int(fit.to_controller(device)) - controller) * 1e-9
        return replace(fit, standard_uncertainty_s=math.hypot(fit.standard_uncertainty_s, off_s))

    def map(self, device_ns: IntArray, fit: ClockFit) -> IntArray:
        """Controller times of ascending device times, shape (n,), n > 0, all after those of the call before."""
        if self._last is None:
            mapped = fit.to_controller(device_ns)
        else:
            device, controller = self._last
            since = device_ns - device
            error = int(fit.to_controller(device_ns[-1])) - controller - since[-1] * (1.0 + fit.drift)
            rate = fit.drift + float(np.clip(error / since[-1], -SLEW, SLEW))
            mapped = controller + since + np.rint(since * rate).astype(np.int64)
        self._last = int(device_ns[-1]), int(mapped[-1])
        return mapped
