# SPDX-License-Identifier: Apache-2.0
"""Digests: the same value has the same bytes, another value others."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.digests import canonical_json, digest_of, is_digest, sha256_hex

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('abcé😀\n"'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé", max_size=3), inner, max_size=4),
    max_leaves=15,
)


@given(VALUES, st.randoms())
def test_the_order_of_keys_does_not_matter(value: Any, dice: random.Random) -> None:
    assert canonical_json(shuffled(value, dice)) == canonical_json(value)


@given(VALUES)
def test_canonical_bytes_are_json_with_the_same_meaning(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(VALUES, VALUES)
def test_different_values_have_different_bytes(one: Any, other: Any) -> None:
    if repr(one) != repr(other) and json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        assert digest_of(one) != digest_of(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", "\ud800"])
def test_what_has_no_json_has_no_digest(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        digest_of([value])


def test_a_digest_is_sha256_in_lower_case() -> None:
    assert sha256_hex(b"flights") == hashlib.sha256(b"flights").hexdigest()
    assert is_digest(sha256_hex(b"flights"))


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "../" + "a" * 61])
def test_any_other_text_is_no_digest(text: str) -> None:
    assert not is_digest(text)


def shuffled(value: Any, dice: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffled(item, dice) for item in value]
    if isinstance(value, dict):
        keys = list(value)
        dice.shuffle(keys)
        return {key: shuffled(value[key], dice) for key in keys}
    return value
