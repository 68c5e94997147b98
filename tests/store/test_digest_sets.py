# SPDX-License-Identifier: Apache-2.0
"""Many digests in little memory answer as a set of texts would, also where some begin alike."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.store.blobs import digest_sets
from mainstay.store.blobs.digest_sets import DigestSet, Gathering, as_bytes, words_in

# Few beginnings and few ends, so that many share the eight bytes by which they are looked up.
DIGESTS = st.lists(
    st.tuples(st.sampled_from(["0" * 16, "00" * 7 + "01", "f" * 16]), st.integers(0, 9)).map(
        lambda told: told[0] + f"{told[1]:048x}"
    )
)


@given(DIGESTS, DIGESTS)
def test_it_holds_what_a_set_holds_in_the_order_of_the_texts(these: list[str], others: list[str]) -> None:
    found = DigestSet.of(iter(these))
    asked = DigestSet.of(others)

    assert list(found) == sorted(set(these)) and len(found) == len(set(these))
    assert [found.holds(asked.words)[n] for n in range(len(asked))] == [each in set(these) for each in asked]
    assert all((each in found) == (each in set(these)) for each in others)
    assert as_bytes(found.words) == b"".join(bytes.fromhex(each) for each in sorted(set(these)))


def test_a_word_that_is_no_digest_is_not_in_it() -> None:
    found = DigestSet.of(["0" * 64])

    assert "0" * 64 in found and "stray" not in found and "" not in found and None not in found


def test_what_comes_again_and_again_takes_its_room_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_sets, "_AT_ONCE", 7)
    monkeypatch.setattr(digest_sets, "_WORTH_SORTING", 20)
    few = [random.Random(1).randbytes(32).hex() for _ in range(15)]
    gathering = Gathering()

    for n in range(100):
        gathering.add(few[n % 15 :])
        gathering.add_words(words_in(bytes.fromhex(few[0])))

    assert sum(map(len, gathering._parts)) < 70
    assert list(gathering.result()) == sorted(set(few))
