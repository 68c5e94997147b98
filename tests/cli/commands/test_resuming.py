# SPDX-License-Identifier: Apache-2.0
"""``resume``, ``debug`` and ``logs``: a run from before, taken up again and looked into."""

from __future__ import annotations

import json
import re


def failed(mainstay) -> str:
    told = mainstay("run", "trips.py:fails")
    return re.search(r"run ([0-9a-f]{32})", told.out)[1]


def test_a_resumed_run_is_the_same_run_and_takes_what_is_finished(type_at, house) -> None:
    mainstay = type_at(house)
    run = failed(mainstay)

    told = mainstay("resume", run)

    assert told.status == 1
    assert f"fails: run {run}" in told.out
    assert "finished before" in told.out
    assert told.err == "refused: step trips.break_down failed: ValueError: no luck (trips.py:21)\n"
    assert house.get(f"/runs/{run}")["state"] == "failed"


def test_a_run_that_has_succeeded_is_not_resumed(type_at, house) -> None:
    mainstay = type_at(house)
    run = json.loads(mainstay("run", "trips.py:flow", "--json").out)["run_id"]

    told = mainstay("resume", run)

    assert (told.status, told.err.startswith(f"refused: run {run} has succeeded; there is nothing to resume")) == (
        1,
        True,
    )


def test_a_step_is_called_again_on_its_inputs_and_shows_where_it_fails(type_at, house) -> None:
    mainstay = type_at(house)
    run = failed(mainstay)

    told = mainstay("debug", run, "break_down")
    other = mainstay("debug", run, "load", "--json")
    unknown = mainstay("debug", run, "nothing")

    assert 'raise ValueError("no luck")' in told.err
    assert told.err.splitlines()[-1].startswith("refused: step break_down failed again: ValueError: no luck")
    assert json.loads(other.out)["type"] == "Table"
    assert "has no step 'nothing'; its steps are trips.load" in unknown.err


def test_what_steps_wrote_is_shown_line_by_line(type_at, house) -> None:
    mainstay = type_at(house)
    run = json.loads(mainstay("run", "trips.py:flow", "--c", "0.123", "--json").out)["run_id"]

    told = mainstay("logs", run)
    one = mainstay("logs", run, "trips.train", "--follow")
    document = json.loads(mainstay("logs", run, "--json").out)
    nothing = mainstay("logs", run, "trips.load")

    assert told.out == "trips.train  a word from the step\n"
    assert one.out == "a word from the step\n"
    assert (document["step"], document["stream"]) == ("trips.train", "out")
    assert nothing.out.startswith("Nothing was written.")
