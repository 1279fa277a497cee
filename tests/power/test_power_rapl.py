from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import Kind, OnBoard, Place, Rapl, Recorder, SensorFault, Unintelligible, cut
from power.rapl import Counters
from tests.power.trees import put, put_all

S = 1_000_000_000
RANGE_UJ = 262_143_328_850


def tree(root: Path, **zones: str) -> Path:
    """A powercap tree with these zones ("0_1": zone intel-rapl:0:1), each counter a little below its range's end."""
    powercap = root / "sys/class/powercap"
    for number, name in zones.items():
        folder = powercap / f"intel-rapl:{number.replace('z', '').replace('_', ':')}"
        put_all(folder, {"name": name, "max_energy_range_uj": RANGE_UJ, "energy_uj": RANGE_UJ - 1_000_000})
    return powercap


def test_what_the_counters_gain_is_the_energy_over_a_wrap_and_over_packages(tmp_path: Path) -> None:
    powercap = tree(tmp_path, z0="package-0", z1="package-1", z0_0="dram", z2="psys")
    monitor = OnBoard(Rapl(rate_hz=100.0, root=tmp_path), rate_hz=100.0)
    with Recorder(monitor) as recorder:
        recorder.wait_until(start_ns := time.monotonic_ns() + S // 10, timeout_s=20.0)
        gained_uj = 0
        for _ in range(4):  # 2.4 J in all: the range ends within it
            gained_uj += 600_000
            for zone, share in (("0", 1.0), ("1", 0.5), ("0:0", 0.25), ("2", 2.0)):
                uj = (RANGE_UJ - 1_000_000 + round(gained_uj * share)) % (RANGE_UJ + 1)
                put(powercap / f"intel-rapl:{zone}/energy_uj", uj)
            recorder.wait_until(time.monotonic_ns() + S // 10, timeout_s=20.0)
        recorder.wait_until(end_ns := time.monotonic_ns() + S // 10, timeout_s=20.0)
        recorder.wait_until(end_ns + S // 10, timeout_s=20.0)
        samples, spec = recorder.since(0), monitor.spec
    assert spec.kind is Kind.COUNTING
    assert [channel.name for channel in spec.channels] == ["package-0", "package-1", "package-0/dram", "psys"]
    assert spec.whole.name == "package-0+package-1"
    assert cut(samples, start_ns, end_ns, spec).energy_j == pytest.approx(3.6, rel=1e-6)
    for channel, energy_j in enumerate((2.4, 1.2, 0.6, 4.8)):
        assert cut(samples, start_ns, end_ns, spec, channel=channel).energy_j == pytest.approx(energy_j, rel=1e-6)


@given(
    st.lists(st.lists(st.integers(0, RANGE_UJ), min_size=2, max_size=2), min_size=1, max_size=8),
    st.tuples(st.integers(0, RANGE_UJ), st.integers(0, RANGE_UJ)),
    st.integers(1, 8),
)
def test_the_gains_add_up_however_the_rows_are_handed_over(
    gains: list[list[int]], start: tuple[int, int], piece: int
) -> None:
    total, rows = list(start), [list(start)]
    for gain in gains:
        total = [(t + g) % (RANGE_UJ + 1) for t, g in zip(total, gain, strict=True)]
        rows.append(total)
    counters = Counters([RANGE_UJ, RANGE_UJ])
    readings = [
        counters.decode([[str(uj) for uj in row] for row in rows[i : i + piece]]) for i in range(0, len(rows), piece)
    ]
    assert not readings[0].sound[0]
    gained_j = sum(reading.power_w[reading.sound].sum(axis=0) for reading in readings)
    assert gained_j == pytest.approx([sum(column) * 1e-6 for column in zip(*gains, strict=True)], abs=1e-6)


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    with pytest.raises(SensorFault, match="no processor package with an energy counter.*intel_rapl_msr"):
        OnBoard(Rapl(rate_hz=100.0, root=tmp_path), rate_hz=100.0).open()


def test_a_counter_that_may_not_be_read_names_the_cure(nobody: Place, open_tree: Path) -> None:
    (tree(open_tree, z0="package-0") / "intel-rapl:0/energy_uj").chmod(0)
    monitor = OnBoard(Rapl(rate_hz=100.0, root=open_tree), rate_hz=100.0, place=nobody)
    monitor.open()
    with pytest.raises(SensorFault, match=r"intel-rapl:0/energy_uj on local: Permission denied; since Linux 5\.10"):
        monitor.start()
    monitor.close()


def test_a_counter_that_holds_no_number_is_no_reading(tmp_path: Path) -> None:
    powercap = tree(tmp_path, z0="package-0")
    with Recorder(OnBoard(Rapl(rate_hz=100.0, root=tmp_path), rate_hz=100.0)) as recorder:
        recorder.wait_until(time.monotonic_ns(), timeout_s=20.0)
        put(powercap / "intel-rapl:0/energy_uj", "soon")
        with pytest.raises(Unintelligible, match="rapl on local.*no readings.*soon"):
            recorder.wait_until(time.monotonic_ns() + 5 * S, timeout_s=20.0)
