# SPDX-License-Identifier: Apache-2.0
"""What went wrong, as strangers see it: the right status, one sentence, and nothing about this machine."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from mainstay.domain import errors
from mainstay.lifecycle.governance import people
from mainstay.server import faults

from .conftest import House


@pytest.mark.parametrize("kind", errors.BY_KIND)
def test_every_kind_of_error_has_a_status(kind: str) -> None:
    reply = faults.answer(errors.of_kind(kind, "it is so.", {"n": 1}))
    told = json.loads(reply.body)["error"]

    assert reply.status_code == faults.STATUS_BY_KIND[kind]
    assert (told["kind"], told["message"], told["facts"]) == (kind, "it is so.", {"n": 1})
    assert len(told["request_id"]) == 16


def test_a_fault_of_ours_tells_nothing_and_is_in_the_log_under_its_id(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_view: Any) -> None:
        raise ZeroDivisionError(f"secret thing in {Path.home()}")

    monkeypatch.setattr(people, "listed", broken)
    with caplog.at_level(logging.ERROR, logger="mainstay.server"):
        reply = house.ask("GET", "/api/people")

    told = reply.json()["error"]
    assert (reply.status_code, told["kind"]) == (500, "fault")
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    (record,) = caplog.records
    assert told["request_id"] in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_damage_is_told_and_logged_under_the_same_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="mainstay.server"):
        reply = faults.answer(errors.Corrupt("blob ab no longer matches its digest."))

    assert json.loads(reply.body)["error"]["request_id"] in caplog.text


def test_a_client_that_goes_away_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    faults.answer(ClientDisconnect())

    assert caplog.records == []


def odd_paths() -> Iterator[str]:
    yield from (
        "/api/events/" + "9" * 5000,
        "/api/events/-1",
        "/api/events/1.5",
        "/api/events/%00",
        "/api/policies/%00",
    )
    yield from (
        "/api/policies/" + "x" * 60_000,
        "/api/policies/%F0%9F%98%80",
        "/api/policies/%ff%fe",
        "/api/policies/..%2f..",
    )
    yield from (
        "/api/policies/prod?version=" + "9" * 40,
        "/api/policies/prod?version=-1",
        "/api/events?subject=%00",
        "/api//me",
    )
    yield from (
        "/api/people/%ed%a0%80/tokens",
        "/api/events?kind=%ff",
        "/api/events?after=-9223372036854775808",
        "/api/" + "a/" * 3000,
    )


@pytest.mark.parametrize("path", list(odd_paths()), ids=lambda path: path[:30])
def test_an_odd_path_is_the_askers_fault_and_shows_no_path_of_ours(house: House, path: str) -> None:
    reply = house.ask("GET", path)

    assert reply.status_code < 500, reply.text
    for leak in ("Traceback", 'File "', str(Path(faults.__file__).parent), str(house.folder), "sqlite", "SELECT"):
        assert leak not in reply.text


def test_an_unknown_path_and_a_wrong_method_answer_in_our_words(house: House) -> None:
    assert house.ask("GET", "/api/nothing").json()["error"]["kind"] == "not_found"
    assert house.ask("POST", "/api/me").json()["error"]["kind"] == "invalid"
    assert house.ask("POST", "/api/events/-1").json()["error"]["kind"] == "not_found"
    assert house.ask("HEAD", "/api/me").status_code == 405
