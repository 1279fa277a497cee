"""Compressed bodies, and what a server says of its time: what goes in comes out, and the rest is refused."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.compression import CannotInflate, deflate, inflate
from testbed.agent.server_timing import compute_ns, timing

CODINGS = st.sampled_from(["gzip", "deflate"])


@given(st.binary(max_size=300), CODINGS)
def test_bodies_survive(body: bytes, coding: str) -> None:
    packed = deflate(body, coding)
    assert inflate(packed, coding, len(body) + 1) == body
    assert (gzip.decompress if coding == "gzip" else zlib.decompress)(packed) == body


@given(st.binary(min_size=1, max_size=300), CODINGS, st.data())
def test_a_cut_body_is_refused(body: bytes, coding: str, data: st.DataObject) -> None:
    packed = deflate(body, coding)
    with pytest.raises(CannotInflate):
        inflate(packed[: data.draw(st.integers(0, len(packed) - 1))], coding, 1000)


@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate", "br", ""]))
def test_whatever_comes_is_inflated_or_refused(body: bytes, coding: str) -> None:
    try:
        assert len(inflate(body, coding, 1000)) <= 1000
    except CannotInflate:
        return


def test_a_bomb_is_refused() -> None:
    with pytest.raises(CannotInflate, match="over 1000 bytes"):
        inflate(deflate(bytes(100_000), "gzip"), "gzip", 1000)


@given(st.integers(0, 10**14))
def test_times_survive(ns: int) -> None:
    assert compute_ns(timing(ns)) == ns


@given(st.text(max_size=40) | st.none())
def test_any_header_is_read_or_passed_over(value: str | None) -> None:
    found = compute_ns(value)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        ('compute;dur=2, db;desc="x";dur=9', 2_000_000),
        ('db;dur=9 , compute ; dur="0.5"', 500_000),
        ("recompute;dur=1", None),
        ("compute;dur=-1", None),
        ("compute", None),
    ],
)
def test_headers_that_others_write(value: str, ns: int | None) -> None:
    assert compute_ns(value) == ns
