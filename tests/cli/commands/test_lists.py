# SPDX-License-Identifier: Apache-2.0
"""Every list and show: the API's document with ``--json``, words without; and an empty list says what it is for."""

from __future__ import annotations

import io
import json

import pytest

LISTS = {
    ("runs", "list"): "/runs",
    ("experiments", "list"): "/experiments",
    ("traces", "list"): "/traces",
    ("datasets", "list"): "/datasets",
    ("models", "list"): "/models",
    ("deployments", "list"): "/deployments",
    ("policy", "list"): "/policies",
    ("releases", "list"): "/releases",
    ("monitors", "list"): "/monitors",
    ("alerts", "list"): "/alerts",
    ("triggers", "list"): "/triggers",
    ("decisions", "list"): "/decisions",
    ("schedules", "list"): "/schedules",
    ("features", "list"): "/features",
    ("backfills", "list"): "/backfills",
    ("jobs", "list"): "/jobs",
    ("people", "list"): "/people",
    ("webhooks", "list"): "/webhooks",
    ("live",): "/live",
}
NEVER_EMPTY = {("people", "list"), ("experiments", "list")}  # a fresh workspace has its owner, and `Default`
SHOWN = {
    ("runs", "show", "flow"): "7 steps",
    ("datasets", "show", "trips"): "contract",
    ("datasets", "show", "trips@1"): "profile",
    ("datasets", "show", "trips@current"): "trips@1",
    ("models", "show", "late"): "late/1",
    ("models", "show", "late@1"): "model.skops",
    ("models", "show", "late/1"): "signature",
    ("models", "show", "late@champion"): "late/1",
    ("models", "show", "late@latest"): "late/1",
    ("models", "search", "name = 'late'"): "late",
    ("models", "search", "name = 'late'", "--versions"): "late/1",
    ("models", "card", "late@1"): "## Intended use",
    ("deployments", "show", "trips"): "trips#1 = late/1",
    ("policy", "show", "prod"): "latency_p95_ms <= 5000.0",
    ("releases", "show", "trips"): "✓ pass",
    ("releases", "show", "trips#1"): "the first",
    ("rollout", "show", "trips"): "✓ completed",
    ("rollout", "show", "trips#1"): "trips#1, in place of nothing",
    ("monitors", "show", "trips"): "baseline",
    ("why", "trips"): "└─ serves release trips#1",
}


@pytest.mark.parametrize("words", LISTS)
def test_an_empty_list_says_what_it_is_for_and_how_to_make_the_first(type_at, fresh_house, words) -> None:
    told = type_at(fresh_house)(*words)

    assert told.status == 0
    if words in NEVER_EMPTY:
        return
    said, command = told.out.splitlines()
    assert said.startswith(("No ", "Nothing "))
    assert command.startswith("  mainstay ")


@pytest.mark.parametrize("words", LISTS)
def test_a_list_as_json_is_the_answer_of_the_api(type_at, live_house, words) -> None:
    told = type_at(live_house)(*words, "--json")

    found, asked = json.loads(told.out), live_house.get(LISTS[words])
    without_age = [{k: v for k, v in item.items() if k not in ("age_days", "versions")} for item in found["items"]]
    assert told.status == 0
    assert without_age == [{k: v for k, v in i.items() if k not in ("age_days", "versions")} for i in asked["items"]]


@pytest.mark.parametrize("words", SHOWN)
def test_what_is_shown_names_what_matters(type_at, live_house, words) -> None:
    live_house.look()
    mainstay = type_at(live_house)

    told, document = mainstay(*words), mainstay(*words, "--json")

    expected = SHOWN[words] if words[0] != "runs" else "register late"
    assert (told.status, document.status) == (0, 0)
    assert expected in told.out
    assert isinstance(json.loads(document.out), dict)


def test_in_a_pipe_nothing_is_cut_coloured_or_wrapped(type_at, live_house) -> None:
    release = live_house.get("/releases/trips/1")

    told = type_at(live_house)("releases", "show", "trips#1")

    assert release["digest"] in told.out and release["manifest"]["version_digest"] in told.out
    assert "\x1b" not in told.out and "…" not in told.out
    assert all(line == line.rstrip() for line in told.out.splitlines())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("runs", "show", "nope"), "no run is called 'nope'"),
        (("runs", "show", "it's"), "no run is called"),
        (("runs", "show", "0" * 32), "there is no run"),
        (("runs", "list", "--filter", "metrics.auc ? 3"), "the filter cannot be read"),
        (("datasets", "show", "nope"), "there is no dataset 'nope'; `mainstay datasets list`"),
        (("models", "show", "nope@1"), "nope"),
        (
            ("models", "show", "late@nobody"),
            "model 'late' has no alias 'nobody'; its versions go by number, or by one of",
        ),
        (("models", "show", "late@candidate"), "model 'late' has no candidate: each of its 1 versions was released"),
        (("deployments", "show", "a/../b"), "there is nothing at /api/deployments/a/../b"),
        (("releases", "show", "nope"), "there is no deployment 'nope'"),
        (("releases", "show", "trips#9"), "there is no release trips#9"),
        (("rollout", "show", "nope"), "there is no deployment 'nope'"),
        (("rollout", "pause", "trips"), "is completed and cannot become paused"),
        (("alerts", "show", "nope"), "there is no monitor 'nope'"),
        (("decisions", "show", "nope"), "there is no trigger 'nope'"),
        (("policy", "show", "nope"), "there is no policy 'nope'"),
        (("jobs", "show", "nope"), "there is no job 'nope'"),
        (("why", "nope"), "there is no deployment 'nope'"),
        (("why", "nope@3"), "there is no dataset 'nope'"),
        (("why", "model:late"), "there is no chain behind a model"),
        (("why", "0" * 32), "prediction"),
    ],
)
def test_what_is_not_there_is_one_sentence_and_status_1(type_at, live_house, words, sentence) -> None:
    told = type_at(live_house)(*words)

    assert (told.status, told.out) == (1, "")
    assert sentence in told.err
    assert told.err.startswith("refused: ") and len(told.err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("nope",),
        ("runs", "list", "--nope"),
        ("runs", "list", "--limit", "0"),
        ("runs", "show"),
        ("release", "late@1"),
        ("approve", "trips"),
        ("alerts", "mute", "trips:drift", "-m", "why"),
        ("monitors", "review", "trips", "--decision", "shrug", "-m", "looked"),
        ("tokens", "create", "bo", "--days", "9999"),
        ("predict", "trips"),
        ("predict", "trips", "--input", "rows.parquet"),
        ("predict", "trips", "{}", "--at", "at"),
        ("feedback", "0" * 32),
        ("datasets", "add", "trips", "no-such-file.parquet"),
        ("rollback", "trips", "--to", "zero"),
    ],
)
def test_what_is_not_understood_is_status_2(type_at, live_house, monkeypatch, words) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())

    told = type_at(live_house)(*words)

    assert (told.status, told.out) == (2, "")
    assert "Usage: " in told.err
