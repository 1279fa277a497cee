"""The marker on a GPIO line: what is refused and how; and, where the kernel has simulated lines, that one follows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.agent.boards.linux import open_board
from testbed.agent.gpio import GpioMarker, MarkerRefused


def test_an_absent_chip_is_named_with_the_cure() -> None:
    pytest.importorskip("gpiod", reason="gpiod is for Linux")
    with pytest.raises(MarkerRefused, match=r"line 17 of /dev/gpiochip99 cannot be driven.*gpioinfo"):
        GpioMarker("/dev/gpiochip99", 17)


def test_a_file_that_is_no_chip_is_refused() -> None:
    pytest.importorskip("gpiod", reason="gpiod is for Linux")
    with pytest.raises(MarkerRefused, match="/dev/null cannot be driven"):
        GpioMarker("/dev/null", 0)


def test_a_board_without_the_package_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['gpiod'] = None\n"
        "from testbed.agent.gpio import GpioMarker\n"
        "GpioMarker('/dev/gpiochip0', 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'gpiod>=2'" in done.stderr


def test_a_board_whose_marker_cannot_be_driven_is_not_opened() -> None:
    pytest.importorskip("gpiod", reason="gpiod is for Linux")
    with pytest.raises(MarkerRefused, match="/dev/gpiochip99"):
        open_board({"marker": {"chip": "/dev/gpiochip99", "line": 3}})


@pytest.fixture
def simulated() -> Iterator[tuple[str, Path]]:
    """A chip of the kernel's gpio-sim, and the file that shows the level of its line 0."""
    config = Path("/sys/kernel/config/gpio-sim")
    if modprobe := shutil.which("modprobe"):
        subprocess.run([modprobe, "gpio-sim"], capture_output=True, check=False)
    if not config.is_dir():
        pytest.skip("this kernel has no gpio-sim")
    device = config / "testbed"
    bank = device / "bank0"
    bank.mkdir(parents=True)
    try:
        (device / "live").write_text("1")
        chip = (bank / "chip_name").read_text().strip()
        platform = Path("/sys/devices/platform") / (device / "dev_name").read_text().strip()
        yield f"/dev/{chip}", platform / chip / "sim_gpio0" / "value"
    finally:
        (device / "live").write_text("0")
        bank.rmdir()
        device.rmdir()


def test_a_simulated_line_follows(simulated: tuple[str, Path]) -> None:
    chip, level = simulated
    with GpioMarker(chip, 0) as marker:
        for high in (True, False, True):
            marker.set(high=high)
            assert level.read_text().strip() == str(int(high))
