"""What `testbed monitor` prints besides the live trace."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from power import MonitorSpec, PowerMonitor, Sum
from testbed.check import Outcome, Verdict
from testbed.cli.chart import si
from testbed.config.plugins import Attached
from testbed.discovery import Refused

_WITHIN = {
    True: ("green", "within its maker's limit of"),
    False: ("red", "outside its maker's limit of"),
    None: ("yellow", "may or may not keep its maker's limit of"),
}


def show_attached(screen: Console, found: Iterable[Attached | Refused]) -> list[Attached]:
    """Print each as it comes, with the block a bench file takes; returns the meters."""
    meters = []
    for one in found:
        if isinstance(one, Refused):
            _line(screen, "yellow", one.place, one.why)
            continue
        meters.append(one)
        _line(screen, "green", one.place, one.what)
        if one.trouble:
            _line(screen, "yellow", one.place, one.trouble)
        screen.print(_block(one), markup=False, soft_wrap=True)
    return meters


def _line(screen: Console, style: str, place: str, text: str) -> None:
    screen.print(Text.assemble((place, f"bold {style}"), f"  {text}"), soft_wrap=True)


def _block(meter: Attached) -> str:
    """YAML, with a remark after each setting that the meter cannot tell."""
    settings = [(f"  {key}: {_yaml(value)}", meter.remarks.get(key)) for key, value in meter.settings.items()]
    return "\n".join(["", "monitor:", *(f"{text:<32}  # {note}" if note else text for text, note in settings), ""])


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def show_info(screen: Console, meter: PowerMonitor, heard: Sum, calibrations: Iterable[str]) -> None:
    """All that a meter at work says of itself; `heard` is the trace of a while."""
    spec, specimen, clock = meter.spec, meter.specimen, meter.clock
    came_hz = (heard.count - 1) / heard.duration_s if heard.duration_s else 0.0
    who = "does not tell" if specimen is None else f"serial number {specimen.serial}, firmware {specimen.firmware}"
    facts = {
        "meter": spec.name,
        "specimen": who,
        "sample": f"{spec.kind.value}, over {si(spec.aperture_s, 's')}",
        "rate": f"{spec.rate_hz:.0f}/s by its own clock; "
        f"{came_hz:.0f}/s came, {heard.lost} lost in {heard.duration_s:.1f} s",
        "shortest window": si(spec.shortest_window_s, "s"),
        "mark lines": str(spec.mark_lines),
        "clock": f"mapped to ±{si(clock.standard_uncertainty_s, 's')}, drift {clock.drift * 1e6:+.1f} ppm, "
        f"residual {si(clock.residual_s, 's')}",
    }
    for name, fact in facts.items():
        screen.print(Text.assemble((f"{name:>15}", "bold"), f"  {fact}"), soft_wrap=True)
    for calibration in calibrations:
        screen.print(Text.assemble((f"{'calibration':>15}", "bold"), f"  {calibration}"), soft_wrap=True)
    screen.print(_channels(spec))


def _channels(spec: MonitorSpec) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, caption="standard uncertainties (k = 1)")
    table.add_column("channel", no_wrap=True)
    for heading in ("step", "gain", "offset"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = [(channel.name, channel) for channel in spec.channels]
    if len(spec.total) > 1:
        rows.append((f"total: {spec.whole.name}", spec.whole))
    for name, channel in rows:
        table.add_row(
            name,
            si(channel.power_lsb_w, "W"),
            f"{channel.gain_standard_uncertainty:.2%}",
            si(channel.offset_standard_uncertainty_w, "W"),
        )
    return table


def show_outcome(screen: Console, outcome: Outcome) -> None:
    """What a check found."""
    gain, offset = outcome.gain, outcome.offset
    _verdict(screen, gain, f"{gain.error:+.3%} ± {gain.standard_uncertainty:.3%}", f"±{gain.limit:.2%}")
    error = f"{offset.error * 1e3:+.3f} ± {offset.standard_uncertainty * 1e3:.3f} mW"
    _verdict(screen, offset, error, f"±{offset.limit * 1e3:.3g} mW")


def _verdict(screen: Console, verdict: Verdict, error: str, limit: str) -> None:
    style, words = _WITHIN[verdict.within]
    screen.print(Text.assemble((f"{verdict.what:>8}", "bold"), f"  {error}: ", (f"{words} {limit}", style)))
