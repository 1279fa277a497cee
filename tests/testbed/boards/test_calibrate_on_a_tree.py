"""What only a board with knobs is calibrated by: its power modes, on a Jetson's tree beside a chip that shows 7.5 W."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from power import Accuracy, HwmonChip, OnBoard
from testbed.boards.jetson import Jetson
from testbed.calibrate.bench_end import BenchEnd
from testbed.calibrate.design import Condition
from testbed.config import Bench
from testbed.errors import BenchError
from testbed.meter import Meter
from testbed.opening import Servers, open_bench
from tests.power.trees import put_all
from tests.testbed.boards import trees

ACCURACY = Accuracy(gain_limit=0.01, offset_limit_w=0.1, step_w=1e-3, conversion_s=0.001, refresh_s=0.004)


class OnTree(Jetson):
    """A Jetson whose files lie elsewhere."""

    kind: Literal["jetson"]
    root: str

    def agent_config(self, supply: Path | None, seed: int) -> dict[str, object]:
        return {**super().agent_config(supply, seed), "root": self.root, "leases": self.root, "owner": "the tests"}


def test_idle_is_measured_in_another_power_mode_and_the_board_put_back(tmp_path: Path) -> None:
    root = trees.orin_jp6(tmp_path / "root")
    put_all(tmp_path / "chip/sys/class/hwmon/hwmon3", {"name": "ina238", "power1_input": 7_500_000})
    board = OnTree(kind="jetson", root=str(root), supply_voltage_v=19.0, power_mode="15W")
    chip = HwmonChip("ina238", total=["power1"], accuracy=ACCURACY, root=tmp_path / "chip")
    rails = OnBoard(chip, rate_hz=100.0)
    with open_bench(Bench(name="tree", board=board), 1) as opened, Meter(rails) as meter:
        meter.settle(opened.now_ns())
        end = BenchEnd(replace(opened, monitor=rails), meter, Servers({}, []), {})

        measured = end.measure(Condition("idle", power_mode="MAXN"), sentinel=False, before_s=0.0)
        assert measured.power_w == pytest.approx(7.5)
        assert measured.truth_power_w is None
        assert opened.agent.ask("standing")["held"]["power_mode"] == "MODE_15W"

        with pytest.raises(BenchError, match="'idle in 90W' failed 3 times"):
            end.measure(Condition("idle", power_mode="90W"), sentinel=False, before_s=0.0)
        assert opened.agent.ask("standing")["held"]["power_mode"] == "MODE_15W"
