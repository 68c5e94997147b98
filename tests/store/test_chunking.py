# SPDX-License-Identifier: Apache-2.0
"""Chunks: where they end depends on the bytes alone."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.store import chunking
from mainstay.store.chunking import COARSE, FINE, Rule

SMALL = Rule(least=64, beyond=192, most=1024)
BYTES = random.Random(1).randbytes(6 << 20)


def cut(data: bytes, rule: Rule, piece: int | None = None) -> list[bytes]:
    pieces: Iterator[bytes] = (
        data[at : at + (piece or len(data))] for at in range(0, len(data), piece or len(data) or 1)
    )
    return [bytes(chunk) for chunk in chunking.split(pieces, rule)]


@given(st.binary(max_size=20_000), st.integers(1, 5_000))
def test_chunks_are_the_stream_again_and_as_large_as_the_rule_says(data: bytes, piece: int) -> None:
    chunks = cut(data, SMALL, piece)

    assert b"".join(chunks) == data
    assert all(SMALL.least <= len(chunk) <= SMALL.most for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= SMALL.most for chunk in chunks[-1:])


@pytest.mark.parametrize("rule", [SMALL, FINE, COARSE])
@pytest.mark.parametrize("piece", [1_000, 65_536, 3_000_001])
def test_ends_do_not_depend_on_how_the_stream_arrives(rule: Rule, piece: int) -> None:
    assert cut(BYTES, rule, piece) == cut(BYTES, rule)


@pytest.mark.parametrize("rule", [SMALL, FINE, COARSE])
@pytest.mark.parametrize("size", [0, 1, 100_000, len(BYTES)])
def test_a_file_is_cut_where_a_stream_is_and_most_of_it_is_never_looked_at(rule: Rule, size: int) -> None:
    data, looked = BYTES[:size], 0

    def read(start: int, end: int) -> bytes:
        nonlocal looked
        looked += end - start
        return data[start:end]

    assert [data[start:end] for start, end in chunking.spans(read, size, rule)] == cut(data, rule)
    assert rule is not COARSE or looked <= size / 3


def test_a_file_that_became_shorter_still_ends() -> None:
    spans = list(chunking.spans(lambda start, end: b"", 5 << 20, COARSE))

    assert spans[-1][1] == 5 << 20


def test_a_chunk_is_named_by_blake3() -> None:
    """The first of the published test vectors: no bytes at all."""
    assert chunking.name(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_what_was_put_in_moves_the_ends_around_it_only() -> None:
    changed = BYTES[: 3 << 20] + b"a few bytes" + BYTES[3 << 20 :]

    new = set(cut(changed, FINE)) - set(cut(BYTES, FINE))

    assert 0 < sum(map(len, new)) <= 4 * FINE.most


def test_one_byte_for_ever_makes_chunks_of_the_largest_size() -> None:
    for byte in (b"\0", b" ", b"\xff"):
        assert {len(chunk) for chunk in cut(byte * (4 * FINE.most), FINE)} == {FINE.most}


def test_ends_are_those_of_the_first_version_that_stored_any() -> None:
    """Other ends would be as good, but what is stored already would not be found again."""
    assert [len(chunk) for chunk in cut(BYTES[:200_000], FINE)] == [31154, 131072, 37774]
