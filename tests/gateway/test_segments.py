# SPDX-License-Identifier: Apache-2.0
"""The codec of the prediction log's segments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain import segments
from mainstay.domain.errors import Corrupt
from mainstay.gateway.records import Record

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.text(), values, max_size=4)


@given(st.lists(objects, max_size=5))
def test_decoding_gives_back_what_was_encoded(records: list[dict[str, Any]]) -> None:
    assert segments.decode(segments.encode(records)) == records


@given(st.lists(objects, min_size=1, max_size=5), st.data())
def test_a_segment_cut_anywhere_keeps_every_record_before_the_cut(records: list[dict[str, Any]], data: Any) -> None:
    whole = segments.encode(records)
    ends = [len(segments.encode(records[:count])) for count in range(len(records) + 1)]
    cut = data.draw(st.integers(0, len(whole)))

    found = segments.scan(whole[:cut])

    assert found.sound_bytes == max(end for end in ends if end <= cut)
    assert len(found.payloads) == ends.index(found.sound_bytes)
    assert (found.fault is None) == (cut in ends)


@given(st.lists(objects, min_size=1, max_size=4), st.data())
def test_a_changed_byte_never_passes_as_sound(records: list[dict[str, Any]], data: Any) -> None:
    whole = bytearray(segments.encode(records))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))

    found = segments.scan(bytes(whole))

    assert found.sound_bytes <= place
    assert found.fault is not None
    with pytest.raises(Corrupt):
        segments.decode(bytes(whole))


def test_the_gateways_record_has_the_fields_of_the_contract_in_order() -> None:
    assert Record.__struct_fields__ == segments.FIELDS
