"""What a bench says of its endpoints, and what of it reaches the board."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.agent.targets.terms import Terms
from testbed.config import Bench, Endpoint, bench_schema, load_bench
from testbed.endpoints import as_request, terms
from testbed.errors import BenchError

HOST = """
name: host
board: {kind: linux, supply_voltage_v: 5 V}
endpoints:
  cloud: {CLOUD}
"""
VIRTUAL = HOST.replace("kind: linux", "kind: virtual, profile: jetson-agx-orin").replace("5 V", "15 V")


def bench(folder: Path, cloud: str, text: str = HOST) -> Bench:
    path = folder / "bench.yaml"
    path.write_text(text.replace("CLOUD", cloud))
    return load_bench(path)


def test_everything_an_endpoint_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "ca.pem").write_text("certificates")
    text = (
        "url: https://example:8443, ca_file: ca.pem, token_file: token, compress: gzip, input: jpeg, jpeg_quality: 80, "
        "retries: 2, models: {net-fp32: theirs}"
    )
    opened = bench(tmp_path, text)
    asked = terms("cloud", opened.endpoints["cloud"])
    assert asked == Terms("s3cret", "certificates", "gzip", 80, 2, {"net-fp32": "theirs"})
    assert Terms(**as_request(asked)) == asked
    recorded = opened.model_dump_json()
    assert "s3cret" not in recorded
    assert bench_schema().model_validate_json(recorded).endpoints["cloud"].token_file == tmp_path / "token"


def test_the_token_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(url="http://example:8000", token_env="MY_TOKEN")
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    assert terms("cloud", endpoint).token == "s3cret"
    monkeypatch.delenv("MY_TOKEN")
    with pytest.raises(BenchError, match="endpoint cloud: the environment variable MY_TOKEN is empty or not there"):
        terms("cloud", endpoint)


@pytest.mark.parametrize("content", [None, "", "two words", "two\nlines", "\u00e9"])
def test_a_file_without_a_token_is_named_and_not_shown(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(BenchError, match=re.escape(f"endpoint cloud: token_file {path}")) as refused:
        terms("cloud", Endpoint(url="http://example:8000", token_file=path))
    assert not content or content not in str(refused.value)


@pytest.mark.parametrize(
    ("cloud", "named"),
    [
        ("url: ftp://example", "endpoints.cloud.url"),
        ("url: 'http://me:secret@example'", "endpoints.cloud.url"),
        ("url: http://example, serve: host", "give either 'url'"),
        ("url: http://example, token_env: A, token_file: b", "not both"),
        ("url: http://example, ca_file: ca.pem", "give such a url"),
        ("serve: host, token_env: A", "no token"),
        ("url: http://example, retries: 11", "retries"),
        ("url: http://example, compress: br", "compress"),
        ("url: http://example, tokn_env: A", "did you mean 'token_env'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, cloud: str, named: str) -> None:
    with pytest.raises(BenchError, match=named):
        bench(tmp_path, cloud)


@pytest.mark.parametrize(
    "cloud",
    [
        "url: https://example",
        "url: grpc://example",
        "serve: virtual-gpu, compress: gzip",
        "serve: virtual-gpu, input: jpeg",
    ],
)
def test_a_modelled_radio_passes_plain_requests_alone(tmp_path: Path, cloud: str) -> None:
    with pytest.raises(BenchError, match="leave https, gRPC, compress and jpeg out of endpoint cloud"):
        bench(tmp_path, cloud, VIRTUAL)


def test_probes_speak_http(tmp_path: Path) -> None:
    link = HOST + "link: {kind: netem, interface: eth0, at: board, probe: true}\n"
    with pytest.raises(BenchError, match="probes of the path speak HTTP: give cloud its http:// url"):
        bench(tmp_path, "url: grpc://example:8001", link)
