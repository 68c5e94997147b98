# SPDX-License-Identifier: Apache-2.0
"""``run`` and ``plan``: parameters from the command line, each step as it happens, the line that sums up."""

from __future__ import annotations

import json

import click
import pytest

from mainstay.cli import parameters


def test_a_run_tells_each_step_and_ends_with_the_line_that_sums_up(type_at, house) -> None:
    mainstay = type_at(house)

    first = mainstay("run", "trips.py:flow", "--c", "0.5", "-m", "a weaker one")
    again = mainstay("run", "trips.py:flow", "--c=0.5")

    assert first.status == again.status == 0
    assert "✓ hit     snapshot trips" in first.out and "✓ ran     trips.train  param c" in first.out
    assert "a word from the step" in first.out
    assert first.out.splitlines()[-1].startswith("6 steps: 4 hits, 2 ran; registered late/")
    assert again.out.splitlines()[-1].startswith("6 steps: 6 hits; late/")
    assert house.get("/runs", kind="pipeline")["items"][1]["reason"] == "a weaker one"


def test_a_run_as_json_is_one_document_and_what_steps_print_goes_elsewhere(type_at, house) -> None:
    told = type_at(house)("run", "trips.py:flow", "--c", "0.7", "--json")

    document = json.loads(told.out)
    assert [step["name"] for step in document["steps"]][-1] == "register late"
    assert document["new_versions"] == document["versions"] != []
    assert "a word from the step" in told.err and "✓ ran" in told.err
    assert house.get(f"/runs/{document['run_id']}")["params"] == {"n": 300, "c": 0.7, "fresh": False}


def test_a_plan_says_what_would_run_and_why_and_does_none_of_it(type_at, house) -> None:
    mainstay = type_at(house)
    before = len(house.get("/runs")["items"])

    told = mainstay("plan", "trips.py:flow", "--c", "9.5")
    document = json.loads(mainstay("plan", "trips.py:flow", "--c", "9.5", "--json").out)

    assert "▲ runs  param c" in told.out
    assert told.out.splitlines()[-1] == "6 steps: 4 hits, 1 would run, 1 depends on that" == document["summary"]
    assert [item["why"] for item in document["items"]] == ["hit", "hit", "hit", "hit", "param", "unknown"]
    assert len(house.get("/runs")["items"]) == before


def test_a_step_that_fails_is_one_sentence_and_with_traceback_the_way_to_it(type_at, house) -> None:
    mainstay = type_at(house)

    told = mainstay("run", "trips.py:fails")
    whole = mainstay("run", "trips.py:fails", "--traceback")

    assert told.status == whole.status == 1
    assert told.err == "refused: step trips.break_down failed: ValueError: no luck (trips.py:21)\n"
    assert "✗ failed  trips.break_down" in told.out
    assert 'raise ValueError("no luck")' in whole.err
    assert house.get("/runs", kind="pipeline")["items"][0]["state"] == "failed"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nope.py:flow",), "there is no file 'nope.py'"),
        (("trips.py:nope",), "trips.py has no function 'nope'; its pipelines are fails, flow."),
        (("trips.py",), "entry 'trips.py' is not of the form file.py:function"),
        (("trips.py:flow", "--depth", "3"), "pipeline flow has no parameter 'depth'; its parameters are n, c, fresh."),
        (("trips.py:flow", "--c", "high"), "parameter c is 'high'; a number is expected."),
        (("trips.py:flow", "-p", "fresh=perhaps"), "parameter fresh is 'perhaps'; true or false is expected."),
    ],
)
def test_what_a_pipeline_does_not_take_is_refused_in_a_sentence(type_at, house, words, sentence) -> None:
    for command in ("run", "plan"):
        told = type_at(house)(command, *words)

        assert told.status == 1
        assert told.err.startswith("refused: ") and sentence in told.err


@pytest.mark.parametrize(
    ("rest", "named", "found"),
    [
        (["--until", "2013-02-01", "--depth=8"], [], {"until": "2013-02-01", "depth": "8"}),
        (["--fresh"], [], {"fresh": "true"}),
        (["--fresh", "--n", "3"], [], {"fresh": "true", "n": "3"}),
        (["--c", "-5"], [], {"c": "-5"}),
        (["--label-delay", "1d"], [], {"label_delay": "1d"}),
        (["--text="], ["url=a=b"], {"text": "", "url": "a=b"}),
    ],
)
def test_options_become_parameters(rest, named, found) -> None:
    assert parameters.read(rest, named) == found


@pytest.mark.parametrize("rest", [["x"], ["-x"], ["--"], ["--a", "1", "--a", "2"], ["--a b", "1"], ["--=3"]])
def test_what_is_no_option_is_a_usage_error(rest) -> None:
    with pytest.raises(click.UsageError):
        parameters.read(rest)


def test_no_something_means_false_only_where_something_is_a_parameter() -> None:
    assert parameters.negated({"no_fresh": "true"}, ["fresh"]) == {"fresh": "false"}
    assert parameters.negated({"no_fresh": "true"}, ["no_fresh", "fresh"]) == {"no_fresh": "true"}
    assert parameters.negated({"no_such": "true"}, ["fresh"]) == {"no_such": "true"}
