# SPDX-License-Identifier: Apache-2.0
"""Ids: unique and in order, whatever the threads and the clock do."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from mainstay.domain import ids


def test_ids_of_one_thread_strictly_increase() -> None:
    made = [ids.uuid7() for _ in range(20_000)]

    assert made == sorted(set(made))


def test_each_thread_sees_its_ids_increase_and_no_two_threads_get_the_same() -> None:
    ready = threading.Barrier(8)

    def make(_: int) -> list[str]:
        ready.wait()
        return [ids.uuid7() for _ in range(2_000)]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))

    assert all(one == sorted(one) for one in made)
    assert len({identity for one in made for identity in one}) == 16_000


@pytest.mark.parametrize("step", [0, -1, -3_600_000_000_000], ids=["stands still", "back a little", "back an hour"])
def test_ids_increase_while_the_clock_does_not(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids.uuid7()
    moment = time.time_ns() + step

    monkeypatch.setattr(time, "time_ns", lambda: moment)

    after = [ids.uuid7() for _ in range(100)]
    assert [before, *after] == sorted({before, *after})


def test_an_id_tells_when_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_last", 0)
    monkeypatch.setattr(time, "time_ns", lambda: 1_357_000_000_123_456_789)

    assert ids.time_of(ids.uuid7()).isoformat() == "2013-01-01T00:26:40.123000+00:00"


def test_an_id_has_the_version_and_variant_of_rfc_9562() -> None:
    identity = ids.uuid7()

    assert (len(identity), identity[12], identity[16] in "89ab") == (32, "7", True)
    assert ids.is_id(identity)


@pytest.mark.parametrize(
    "text",
    ["", "0" * 32, "g" * 32, ids.uuid7().upper(), ids.uuid7() + "\n", ids.uuid7()[:-1]],
    ids=["empty", "zeros", "no-hex", "capitals", "newline", "short"],
)
def test_what_was_not_made_here_is_no_id(text: str) -> None:
    assert not ids.is_id(text)


def test_what_has_a_name_and_a_beginning_has_the_same_id_everywhere() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

    found = ids.named(moment, b"a study")

    assert ids.is_id(found) and ids.time_of(found) == moment
    assert found == ids.named(moment, b"a study") != ids.named(moment, b"another")


def test_many_ids_at_once_follow_those_before_and_precede_those_after() -> None:
    before, many, after = ids.uuid7(), ids.uuid7s(1000), ids.uuid7()

    assert [before, *many, after] == sorted({before, *many, after})
    assert all(map(ids.is_id, many))
    assert ids.uuid7s(0) == []
