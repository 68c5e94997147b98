# SPDX-License-Identifier: Apache-2.0
"""The demo's answers survive the demo: whatever was kept is found again, and nothing that was half written."""

from __future__ import annotations

import json
from pathlib import Path

from mainstay.demo.answers import Answer, Answers

ASKED = Answer("UA-1-EWR-2013-03-01", "a" * 32, 1, "champion")
OFFLINE = Answer("UA-2-EWR-2013-03-01", "b" * 32)


def test_what_was_kept_is_found_by_the_next_demo_in_its_order(tmp_path: Path) -> None:
    first = Answers(tmp_path)
    first.keep(3, [ASKED])
    first.keep(3, [OFFLINE])

    again = Answers(tmp_path)

    assert list(first.of(3)) == list(again.of(3)) == [ASKED, OFFLINE]
    assert again.over_http(3) == [ASKED]
    assert list(again.of(4)) == []


def test_a_line_says_by_whom_it_was_answered_only_if_that_was_over_http(tmp_path: Path) -> None:
    Answers(tmp_path).keep(3, [ASKED, OFFLINE])

    lines = [json.loads(line) for line in (tmp_path / "2013-03.ndjson").read_text().splitlines()]

    assert lines[0] == {"key": ASKED.key, "id": ASKED.id, "release": 1, "variant": "champion"}
    assert lines[1] == {"key": OFFLINE.key, "id": OFFLINE.id}


def test_a_line_that_was_half_written_is_dropped_and_the_next_stands_alone(tmp_path: Path) -> None:
    Answers(tmp_path).keep(3, [ASKED])
    with (tmp_path / "2013-03.ndjson").open("ab") as file:
        file.write(b'{"key":"UA-9-EW')

    again = Answers(tmp_path)
    again.keep(3, [OFFLINE])

    assert list(Answers(tmp_path).of(3)) == [ASKED, OFFLINE]
