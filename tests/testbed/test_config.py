"""Bench and suite files: what is accepted, and what a mistake is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.config import bench_schema, load_bench, load_suite
from testbed.config.power_switch import CommandSwitch
from testbed.config.quantities import parse_quantity
from testbed.errors import BenchError

ROOT = Path(__file__).parents[2]
BENCHES = sorted((ROOT / "examples/benches").glob("*.yaml"))
SUITES = sorted((ROOT / "examples/suites").glob("*.yaml"))
VIRTUAL = (ROOT / "examples/benches/virtual-jetson.yaml").read_text()
SUITE = """
name: small
workloads:
  - name: camera
    model: efficientnet-lite0
    qos_s: 50 ms
environments: [S1]
actions: [cpu/fp32@max]
policies:
  - {name: edge-cpu-fp32, trials: 5}
"""


def refusal(tmp_path: Path, text: str, load: object = load_suite) -> str:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(BenchError) as caught:
        load(path)  # type: ignore[operator]
    return str(caught.value)


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_every_example_bench_is_valid(path: Path) -> None:
    assert load_bench(path).name


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_example_suite_is_valid(path: Path) -> None:
    assert load_suite(path).workloads


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_a_resolved_bench_reads_back_the_same(path: Path) -> None:
    bench = load_bench(path)
    assert bench_schema().model_validate(bench.model_dump(mode="json")) == bench


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_right_one(tmp_path: Path) -> None:
    message = refusal(tmp_path, SUITE.replace("    qos_s: 50 ms", "    qos_ms: 50"))
    assert "file.yaml:6: workloads.0.qos_ms: unknown key; did you mean 'qos_s'?" in message
    assert "workloads.0.qos_s: is missing" in message


def test_an_unknown_key_inside_a_monitor_is_found_behind_its_kind(tmp_path: Path) -> None:
    message = refusal(tmp_path, VIRTUAL.replace("shunt_ohm: 15 mOhm", "shunt_ohms: 15 mOhm"), load_bench)
    assert "monitor.shunt_ohms: unknown key; did you mean 'shunt_ohm'?" in message


def test_an_unknown_kind_names_the_kinds_there_are(tmp_path: Path) -> None:
    message = refusal(tmp_path, VIRTUAL.replace("kind: ina-bridge", "kind: ina-brigde"), load_bench)
    assert "monitor.kind: there is no kind 'ina-brigde'; did you mean 'ina-bridge'?" in message


def test_a_wrong_unit_says_what_it_is_and_what_was_expected(tmp_path: Path) -> None:
    message = refusal(tmp_path, SUITE.replace("50 ms", "50 mW"))
    assert "file.yaml:6: workloads.0.qos_s: '50 mW' is a power; a time is expected, such as '33.3 ms'" in message


def test_a_value_out_of_range_is_shown(tmp_path: Path) -> None:
    assert "policies.0.trials" in refusal(tmp_path, SUITE.replace("trials: 5", "trials: 0"))


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "file.yaml:12: the key 'name' stands here twice" in refusal(tmp_path, SUITE + "\nname: again\n")


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    assert "file.yaml:2: is not valid YAML" in refusal(tmp_path, "name: x\nworkloads: ]\n")


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    assert "holds no keys" in refusal(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"absent\.yaml: cannot be read: No such file"):
        load_suite(tmp_path / "absent.yaml")


def test_model_files_are_found_beside_the_suite(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("efficientnet-lite0", "{files: {fp32: mine.onnx}, accuracy: {fp32: 0.8}}"))
    model = load_suite(path).workloads[0].model
    assert not isinstance(model, str)
    assert model.files == {"fp32": tmp_path / "mine.onnx"}


def test_a_model_file_without_accuracy_is_refused(tmp_path: Path) -> None:
    text = SUITE.replace("efficientnet-lite0", "{files: {fp32: a.onnx, int8: b.onnx}, accuracy: {fp32: 0.8}}")
    assert "accuracy is missing for int8" in refusal(tmp_path, text)


def test_a_real_meter_on_a_virtual_board_is_refused(tmp_path: Path) -> None:
    assert "set its port to 'emulated'" in refusal(tmp_path, VIRTUAL.replace("emulated  ", "/dev/ttyUSB0"), load_bench)


HOST = (ROOT / "examples/benches/host.yaml").read_text()
NETEM = "\nlink: {kind: netem, interface: eth0, at: endpoint}\n"


def test_a_netem_link_must_know_where_its_endpoints_answer(tmp_path: Path) -> None:
    assert "must know where cloud answers before it starts: give its 'url'" in refusal(
        tmp_path, HOST + NETEM, load_bench
    )


def test_a_netem_link_without_endpoints_is_refused(tmp_path: Path) -> None:
    text = HOST.partition("endpoints:")[0] + NETEM
    assert "a netem link shapes the way to endpoints: name one" in refusal(tmp_path, text, load_bench)


def test_a_board_and_its_link_are_both_virtual_or_neither(tmp_path: Path) -> None:
    netem = "\n".join(line for line in VIRTUAL.splitlines() if "by: auto" not in line).replace(
        "kind: virtual\n  standard", "kind: netem\n  interface: eth0\n  at: router\n  standard"
    )
    assert "give it a link of kind 'virtual'" in refusal(tmp_path, netem, load_bench)
    assert "needs a virtual board" in refusal(tmp_path, HOST + "\nlink: {kind: virtual}\n", load_bench)


def test_a_virtual_link_by_netem_leads_to_endpoints_of_its_own_only(tmp_path: Path) -> None:
    by_netem = VIRTUAL.replace("by: auto ", "by: netem ")
    assert "let each be started" in refusal(
        tmp_path, by_netem.replace("serve: virtual-gpu", "url: http://a:1"), load_bench
    )
    path = tmp_path / "bench.yaml"
    path.write_text(by_netem)
    assert load_bench(path).provenance == "virtual"


def test_provenance_is_virtual_as_soon_as_a_part_is(tmp_path: Path) -> None:
    assert load_bench(ROOT / "examples/benches/virtual-jetson.yaml").provenance == "virtual"
    assert load_bench(ROOT / "examples/benches/host.yaml").provenance == "measured"


@given(st.floats(1e-6, 1e6), st.sampled_from([("", 1.0), ("m", 1e-3), ("k", 1e3), ("u", 1e-6)]))
def test_a_quantity_scales_by_its_prefix(number: float, prefix: tuple[str, float]) -> None:
    letter, scale = prefix
    assert parse_quantity(f"{number!r} {letter}V", "V") == pytest.approx(number * scale)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_clear_refusal(text: str) -> None:
    try:
        value = parse_quantity(text, "s")
    except ValueError as error:
        value = str(error)
    assert isinstance(value, float) or "time" in str(value)


def test_what_cuts_the_supply_may_be_said_with_the_words_on_and_off(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    power = "{kind: command, off: [relay, '0'], on: [relay, '1'], off_s: 2 s}"
    path.write_text(f"name: bench\nboard: {{kind: linux, supply_voltage_v: 5 V, power: {power}}}\n")
    switch = load_bench(path).board.power
    assert isinstance(switch, CommandSwitch)
    assert (switch.off, switch.on, switch.off_s) == (["relay", "0"], ["relay", "1"], 2.0)


@pytest.mark.parametrize(
    ("power", "message"),
    [
        ("{kind: uhubctl, location: usb1, port: 2}", "location"),
        ("{kind: uhubctl, location: 1-1, port: 0}", "port"),
        ("{kind: command, off: [], on: [x]}", "off"),
        ("{kind: uhubclt, location: 1-1, port: 2}", "did you mean 'uhubctl'?"),
    ],
)
def test_a_switch_that_cannot_be_is_named(tmp_path: Path, power: str, message: str) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(f"name: bench\nboard: {{kind: linux, supply_voltage_v: 5 V, power: {power}}}\n")
    with pytest.raises(BenchError, match=re.escape(message)):
        load_bench(path)
