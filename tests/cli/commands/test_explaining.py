# SPDX-License-Identifier: Apache-2.0
"""``plan``, ``explain`` and ``diff`` after an edit: the function, its lines, and what became of the results."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def edited(house: Any, type_at: Any) -> Any:
    """Runs before and after an edit of the pipeline's training step, which is undone afterwards."""
    file = house.folder / "trips.py"
    text = file.read_text()
    mainstay = type_at(house)
    first = json.loads(mainstay("run", "trips.py:flow", "--n", "40", "--json").out)["run_id"]
    file.write_text(text.replace("LogisticRegression(C=c)", "LogisticRegression(C=c / 10)"))
    yield mainstay, first
    file.write_text(text)


def test_a_plan_names_the_function_and_its_lines_and_shows_them(edited: Any) -> None:
    mainstay, _ = edited

    told = mainstay("plan", "trips.py:flow", "--n", "40", "--diff")

    assert "code: trips.train (1 line)" in told.out
    assert "+    return LogisticRegression(C=c / 10)" in told.out


def test_explain_begins_with_the_cause_and_diff_tells_it_part_by_part(edited: Any, house: Any) -> None:
    mainstay, first = edited
    second = json.loads(mainstay("run", "trips.py:flow", "--n", "40", "--json").out)

    explained = mainstay("explain", first, second["run_id"])
    told = mainstay("diff", first, second["run_id"])
    versions = json.loads(mainstay("explain", "late@1", second["versions"][0].replace("/", "@"), "--json").out)

    assert explained.out.splitlines()[0] == "the results differ because of code: trips.train (1 line)"
    assert "-    return LogisticRegression(C=c)" in explained.out
    assert "steps that differ" in told.out and "trips.train" in told.out
    assert versions["b"]["subject"] == f"version:{second['versions'][0]}"
    assert "param n 300→40" in versions["sentence"]


def test_accepting_wants_a_reason_and_something_to_accept(edited: Any) -> None:
    mainstay, _ = edited

    assert mainstay("plan", "trips.py:flow", "--n", "40", "--accept").status == 2
    assert "nothing to accept" in mainstay("plan", "trips.py:flow", "--n", "40", "--accept", "-m", "sure").err
