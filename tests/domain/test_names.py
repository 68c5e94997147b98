# SPDX-License-Identifier: Apache-2.0
"""Names: one spelling, safe in a URL, a subject and a log line."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Invalid
from mainstay.domain.names import LONGEST, check_name, is_plain_path, parse_numbered, parse_subject


@pytest.mark.parametrize("name", ["a", "7", "flights-late", "Flüge", "a.b_c-d", "a" * LONGEST, "航班"])
def test_a_usable_name_is_returned_unchanged(name: str) -> None:
    assert check_name("model", name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "-a",
        "_a",
        ".a",
        "a/b",
        "a\\b",
        "a b",
        "a:b",
        "a@1",
        "a#1",
        "a?b",
        "a%2f",
        "a\n",
        "a\r\nb",
        "a\x00",
        "a\u202eb",
        "a\u200bb",
        "é",
        "a" * (LONGEST + 1),
        "a" * 1000000,
    ],
)
def test_a_name_that_could_be_taken_for_something_else_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_name("model", name)

    assert len(refusal.value.message) < 400


@given(st.text(max_size=20))
def test_an_accepted_name_survives_a_url_and_a_subject(name: str) -> None:
    try:
        check_name("model", name)
    except Invalid:
        return

    assert urlsplit(f"http://h/models/{name}").path == f"/models/{name}"
    assert parse_subject(f"model:{name}").name == name


@given(st.from_regex(r"[a-z][a-z0-9\-.]{0,9}", fullmatch=True), st.integers(1, 10**18 - 1), st.sampled_from("@/#"))
def test_a_numbered_name_is_read_back(name: str, number: int, mark: str) -> None:
    assert parse_numbered(f"{name}{mark}{number}", mark, kind="thing") == (name, number)


@pytest.mark.parametrize(
    "text",
    ["flights", "flights@", "@3", "flights@0", "flights@-1", "flights@03", "flights@٣", "flights@3 ", "flights@x"],
)
def test_a_number_has_one_spelling(text: str) -> None:
    with pytest.raises(Invalid, match="is not of the form name@number"):
        parse_numbered(text, "@", kind="snapshot")


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 5000])
def test_a_number_that_no_database_holds_is_refused(digits: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_numbered(f"flights@{digits}", "@", kind="snapshot")

    assert len(refusal.value.message) < 400


@pytest.mark.parametrize("text", ["", "flights", ":flights", "dataset:"])
def test_a_subject_has_a_kind_and_a_name(text: str) -> None:
    with pytest.raises(Invalid, match="kind:name"):
        parse_subject(text)


@pytest.mark.parametrize("path", ["a", "a/b.txt", "ü b.bin", "50%.png", "a%20b", "v1..v2", "...", "run:1", ".hidden/x"])
def test_a_plain_path_may_hold_what_file_names_hold(path: str) -> None:
    assert is_plain_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "./a",
        "..",
        "a/../b",
        "a\\b",
        "a\x00",
        "C:/a",
        "%2e%2e/a",
        "%252e%252e/a",
        "..%2fa",
        "a%5cb",
        "%2fa",
    ],
)
def test_a_path_that_climbs_in_any_spelling_is_not_plain(path: str) -> None:
    assert not is_plain_path(path)
