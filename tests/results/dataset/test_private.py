"""Values planted wherever a run can hold them: none may be found in any byte of a dataset."""

from __future__ import annotations

import getpass
import re
import shutil
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import RunStore
from results.dataset import About, check, export
from results.dataset.folder import read_facts
from results.dataset.private import Private, looks_private
from results.records import CalibrationFacts, ConditionRecord

PLANTED = {
    "user": "aglaia",
    "host": "aglaias-laptop",
    "board": "thalia-pi.attic.example",
    "serial": "SN4711X99",
    "ssid": "Attic Net 5G",
    "mac": "de:ad:be:ef:00:17",
    "ip": "198.51.100.23",
    "ipv6": "2001:db8::17",
    "home": "/home/aglaia/venv/bin/python",
    "port": "/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0",
    "cloud": "euphrosyne.example.net",
    "number": "90210777",
}


@pytest.fixture(scope="module")
def planted(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a run that holds all of them, in settings, facts and free text."""
    folder = tmp_path_factory.mktemp("planted")
    bench = {
        "name": "desk",
        "board": {
            "kind": "linux",
            "model": "raspberry-pi-5",
            "agent": {"via": f"ssh://{PLANTED['user']}@{PLANTED['board']}", "python": PLANTED["home"]},
        },
        "monitor": {
            "kind": "ina-bridge",
            "port": PLANTED["port"],
            "serial": int(PLANTED["number"]),
            "shunt_ohm": 0.015,
        },
        "link": {"kind": "netem", "interface": "wlx17", "ssid": PLANTED["ssid"]},
        "endpoints": {
            "cloud": {"url": f"http://{PLANTED['cloud']}:8000"},
            "edge": {"url": f"http://{PLANTED['ip']}:8000"},
        },
    }
    suite = {
        "name": "synthetic",
        "workloads": [{"name": "mobilenet", "model": {"files": {"fp32": "/home/aglaia/net.onnx"}}}],
        "environments": [{"name": "S1", "trace": "/home/aglaia/walk.csv"}],
        "policies": [{"name": "opt", "options": {"bins": "graph"}}],
    }
    calibration = CalibrationFacts(
        says=f"meter {PLANTED['serial']} read 0.2 % low", record={"serial": PLANTED["serial"], "gain": 0.002}
    )
    header = synthetic.header(
        bench=bench,
        suite=suite,
        calibrations=(calibration,),
        labels=(f"seen by {PLANTED['host']}",),
        host={"machine": "x86_64", "system": f"Linux-6.1.0-{PLANTED['user']}-custom", "node": PLANTED["host"]},
    )
    facts = {"ssid": PLANTED["ssid"], "peer": {"mac": PLANTED["mac"], "address": PLANTED["ipv6"]}, "rssi_dbm": -55.0}
    trial = synthetic.trial(
        0,
        energy=synthetic.energy(0.0125),
        state={"co_cpu": 0.0, "where": PLANTED["host"]},
        observed={"frequency_hz": 1.5e9, **facts},
        condition=ConditionRecord(
            asked={"link": {"rssi_dbm": -58.0, "source": f"asked of {PLANTED['ip']}"}},
            applied=facts,
            observed={"link": {"failure": f"[{PLANTED['ipv6']}]:8000 refused, SSID={PLANTED['ssid'].split()[0]}"}},
            strayed=(f"cloud: {PLANTED['cloud']} is far",),
        ),
        note=f"{PLANTED['user']}@{PLANTED['board']}: no {PLANTED['port']}; see {PLANTED['home']}, {PLANTED['mac']}, "
        f"meter {PLANTED['serial']}, http://{PLANTED['ip']}:8000/v2 or {PLANTED['cloud']}",
    )
    with RunStore.create(folder / "run", header, synthetic.plan(1)) as store:
        store.append_block(synthetic.block())
        store.append(trial, synthetic.columns(synthetic.lead_in_ns(0)))
        store.finish()
    export([folder / "run"], folder / "out", About("planted"), csv=True)
    return folder / "out"


def everything(folder: Path) -> str:
    """All that a dataset says, Parquet files unpacked."""
    texts = [str(path) + path.read_text() for path in folder.rglob("*") if path.suffix in {".json", ".md", ".csv"}]
    tables = [str(pq.read_table(path, partitioning=None).to_pylist()) for path in folder.rglob("*.parquet")]
    return "\n".join(texts + tables)


@pytest.mark.parametrize("kind", PLANTED)
def test_nothing_planted_comes_out(kind: str, planted: Path) -> None:
    for part in {PLANTED[kind], PLANTED[kind].partition(".")[0]}:
        assert part not in everything(planted)


def test_and_the_check_agrees(planted: Path) -> None:
    assert [found for found in check(planted) if found.verdict != "ok"] == []


def test_what_tells_nobody_stays(planted: Path) -> None:
    text = everything(planted)
    for kept in ("raspberry-pi-5", "ina-bridge", "0.015", "netem", "graph", "Linux-6.1", "x86_64", "asked of address-"):
        assert kept in text


def test_the_same_word_has_one_token_in_a_dataset_and_none_in_common_with_another(
    runs: list[Path], tmp_path: Path
) -> None:
    tokens = []
    for name in ("one", "two"):
        export(runs, tmp_path / name, About(name))
        (path,) = (path for path, file in read_facts(tmp_path / name).files.items() if file.table == "runs")
        hosts = set(pq.read_table(tmp_path / name / path)["host"].to_pylist())
        assert len(hosts) == 1
        tokens += hosts
        shutil.rmtree(tmp_path / name)
    assert tokens[0] != tokens[1]


def test_this_machine_and_its_user_are_private(
    monkeypatch: pytest.MonkeyPatch, runs: list[Path], tmp_path: Path
) -> None:
    """Even where no header names them: whoever runs the benches may have called one after himself."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "synthetic")
    assert getpass.getuser() == "synthetic"
    export(runs, tmp_path / "out", About("out"))
    assert all(re.match(r"host-[0-9a-f]{10}-desk-", run) for run in read_facts(tmp_path / "out").runs)


@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=60) | st.from_regex(r"[a-f0-9:.@/-]{0,40}", fullmatch=True)
)
def test_no_text_looks_private_once_it_was_cleaned(text: str) -> None:
    assert looks_private(Private().text(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "cpu/int8@1190.4MHz",
        "fp32@max",
        "12:34:56",
        "raspberry-pi-5",
        "802.11n-ht40: goodput (a/wifi-vehicles)",
        "6.1.0-18",
    ],
)
def test_words_of_the_trade_are_left_alone(text: str) -> None:
    assert Private(["pi", "max"]).text(text) == text or text == "fp32@max"
    assert looks_private(text) == []
