# SPDX-License-Identifier: Apache-2.0
"""Strict JSON: what it accepts has one meaning; what could have two is refused, quickly, with one sentence."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mainstay.domain import strict_json
from mainstay.domain.errors import Malformed

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_any_writer_writes_is_read_back_equal(value: Any, ascii_only: bool) -> None:
    assert strict_json.loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.text(alphabet='[]{}",:\\u0123456789abdeflnrstE+-. \ud800\x00é') | st.binary(max_size=30))
@example("[1e999]")
@example('{"a":1,"a":1}')
@example('["\\ud800"]')
def test_whatever_it_accepts_means_the_same_to_the_next_reader(data: str | bytes) -> None:
    try:
        value = strict_json.loads(data)
    except Malformed:
        return

    written = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert strict_json.loads(written) == value == json.loads(written)


REFUSED = {
    "not JSON": b"{",
    "nothing": b"",
    "two values": b"{} {}",
    "trailing comma": b"[1,]",
    "not UTF-8": b'"\xff"',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "a key twice": b'{"a":1,"b":2,"a":1}',
    "a key twice, spelt in two ways": b'{"a":1,"\\u0061":1}',
    "a key twice, deep inside": b'[{"x":[{"a":1,"a":2}]}]',
    "NaN": b"[NaN]",
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "a number beyond every float": b"[1e400]",
    "2^63": b"[9223372036854775808]",
    "-2^63-1": b"[-9223372036854775809]",
    "a number of 5000 digits": b"[" + b"9" * 5000 + b"]",
    "65 levels": b"[" * 65 + b"]" * 65,
    "65 levels behind a string of brackets": b'["]]]]]]]]]]\\"",' + b"[" * 64 + b"]" * 65,
    "100,000 levels": b"[" * 100_000,
    "65 levels of objects": b'{"a":' * 65 + b"1" + b"}" * 65,
    "a lone surrogate": b'["\\ud800"]',
    "a lone surrogate as key": b'{"\\udc00":1}',
    "surrogates in the wrong order": b'["\\udc00\\ud800"]',
    "an escaped NUL": b'["a\\u0000b"]',
    "a bare NUL": b'["a\x00b"]',
    "a bare line break in a string": b'["a\nb"]',
    "a lone surrogate in a text": '["\ud800"]',
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_could_have_two_meanings_is_refused(data: bytes | str) -> None:
    with pytest.raises(Malformed) as refusal:
        strict_json.loads(data)

    assert refusal.value.message.startswith("request body ")
    assert len(refusal.value.message) < 200


@pytest.mark.parametrize(
    "data",
    [
        b"[9223372036854775807,-9223372036854775808]",
        b"[" * 64 + b"]" * 64,
        b'["\\ud83d\\ude00"]',
        b'"' + b"[" * 1000 + b'"',
        b'["' + b'\\"[' * 100 + b'"]',
        b"[" + b",".join([b"[[1]]"] * 100) + b"]",
        '"é"',
    ],
)
def test_what_is_just_within_the_limits_is_accepted(data: bytes | str) -> None:
    assert strict_json.loads(data) == json.loads(data)


def test_a_large_object_with_one_key_twice_is_refused_without_comparing_every_pair() -> None:
    # 300,000 keys: comparing each with each would be 10^11 steps, and this test would not end.
    body = "{" + ",".join(f'"{i}":1' for i in range(300_000)) + ',"299999":1}'

    with pytest.raises(Malformed, match="'299999' stands twice"):
        strict_json.loads(body)


def test_a_key_of_any_length_makes_a_short_sentence() -> None:
    long = "k" * 100_000

    with pytest.raises(Malformed) as refusal:
        strict_json.loads(f'{{"{long}":1,"{long}":2}}')

    assert len(refusal.value.message) < 200


def test_a_float_keeps_its_value() -> None:
    assert math.isclose(strict_json.loads("[0.1]")[0], 0.1, rel_tol=0)
