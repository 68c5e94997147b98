# SPDX-License-Identifier: Apache-2.0
"""Regular expressions from strangers."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import literal, select

from mainstay.domain.errors import Invalid
from mainstay.store import Store, patterns


@pytest.mark.parametrize(
    ("pattern", "value", "is_found"),
    [
        ("a.c", "xabcx", True),
        ("^b", "abc", False),
        ("(?i)ABC", "abc", True),
        ("[0-9]{2}", "a1", False),
        ("ü", "Münz", True),
    ],
)
def test_a_pattern_is_found_where_it_occurs(pattern: str, value: str, is_found: bool) -> None:
    assert patterns.found(pattern, value) is is_found


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "(?P<x>a)(?P=x)", "((a{999}){999}){999}"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid, match="regular expression"):
        patterns.check(pattern)


def test_a_pattern_made_to_run_for_ever_ends() -> None:
    # A limit that one which goes back and forth misses by longer than anybody would wait.
    began = time.thread_time()

    assert not patterns.found("(a+)+$", "a" * 100_000 + "b")
    assert time.thread_time() - began < 20


def test_the_database_finds_by_them(store: Store) -> None:
    with store.view() as view:
        found = view.scalar(select(literal("gpt-4").regexp_match("^gpt-[0-9]$")))
        like = view.scalar(select(literal("a").like("A")))

    assert (bool(found), bool(like)) == (True, False)
