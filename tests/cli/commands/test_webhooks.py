# SPDX-License-Identifier: Apache-2.0
"""Webhooks by command: added, listed, tried, removed. One story, in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

ADDRESS = "http://127.0.0.1:9/hook"


@pytest.fixture
def mainstay(type_at, house) -> Callable[..., object]:
    return type_at(house)


def test_one_is_added_and_its_secret_is_not_shown(mainstay, house) -> None:
    told = mainstay(
        "webhooks", "add", "chat", ADDRESS, "--event", "model_version.created", "--secret", "s3cret", "-m", "asked for"
    )

    [hook] = house.get("/webhooks")["items"]
    listed, shown = mainstay("webhooks", "list"), mainstay("webhooks", "show", hook["id"])
    assert told.status == 0 and hook["id"] in told.out
    assert "chat" in listed.out and "It was told nothing yet." in shown.out
    assert "s3cret" not in told.out + listed.out + shown.out


def test_an_example_that_was_not_taken_is_a_status_for_scripts(mainstay, house) -> None:
    [hook] = house.get("/webhooks")["items"]

    told = mainstay("webhooks", "test", hook["id"])

    assert told.status == 1 and "an example of model_version.created was not taken" in told.out


def test_one_is_removed_and_an_empty_list_says_how_to_add_one(mainstay, house) -> None:
    [hook] = house.get("/webhooks")["items"]

    gone = mainstay("webhooks", "remove", hook["id"])

    assert gone.status == 0 and "told nothing more" in gone.out
    assert "mainstay webhooks add" in mainstay("webhooks", "list").out


def test_an_unknown_event_is_refused_with_those_there_are(mainstay) -> None:
    told = mainstay("webhooks", "add", "chat", ADDRESS, "--event", "model.exploded")

    assert told.status == 1 and "model_version.created" in told.err
