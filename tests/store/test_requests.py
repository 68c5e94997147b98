# SPDX-License-Identifier: Apache-2.0
"""Remembered requests: the answer and the change exist together or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from mainstay.domain.errors import Conflict
from mainstay.domain.events.governance import PersonAdded
from mainstay.store import Store, ledger, requests

KNOWN: dict[str, Any] = {"actor": "ana", "route": "POST /people", "key": "k1", "body": b"{}"}
ANSWER = requests.Answer(201, b'{"name":"bo"}')


def recalled(store: Store, **other: Any) -> requests.Answer | None:
    with store.view() as view:
        return requests.recall(view, requests.identify(**KNOWN | other))


def test_a_repeated_request_gets_the_first_answer(store: Store) -> None:
    assert recalled(store) is None

    with store.ingest() as ingest:
        requests.remember(ingest, requests.identify(**KNOWN), ANSWER)

    assert recalled(store) == ANSWER


@pytest.mark.parametrize("other", [{"actor": "bo"}, {"route": "POST /policies/x"}, {"key": "k2"}])
def test_a_key_counts_for_its_actor_and_route_only(store: Store, other: dict[str, Any]) -> None:
    with store.ingest() as ingest:
        requests.remember(ingest, requests.identify(**KNOWN), ANSWER)

    assert recalled(store, **other) is None


def test_a_key_that_comes_back_with_another_body_is_refused(store: Store) -> None:
    with store.ingest() as ingest:
        requests.remember(ingest, requests.identify(**KNOWN), ANSWER)

    with pytest.raises(Conflict, match="used before with another body"):
        recalled(store, body=b'{"x":1}')


def test_parts_of_an_identity_cannot_be_shifted_into_each_other() -> None:
    one = requests.identify(actor="ana", route="POST /a", key="b", body=b"")
    other = requests.identify(actor="ana", route="POST /", key="ab", body=b"")

    assert one.key != other.key


def test_an_answer_is_forgotten_after_48_hours_and_not_before(store: Store, clock: Any) -> None:
    with store.ingest() as ingest:
        requests.remember(ingest, requests.identify(**KNOWN), ANSWER)

    for passed_h, kept in ((48, True), (0.001, False)):
        clock.pass_(hours=passed_h)
        with store.ingest() as ingest:
            assert requests.any_old(ingest) is not kept
            assert requests.forget_old(ingest) == (0 if kept else 1)
        assert (recalled(store) is not None) is kept


def test_a_change_that_fails_behind_the_answer_forgets_it(store: Store) -> None:
    with pytest.raises(KeyError), store.change(actor="ana") as change:
        change.record(PersonAdded(name="bo", person_kind="user", roles=[]))
        requests.remember(change, requests.identify(**KNOWN), ANSWER)
        raise KeyError

    assert recalled(store) is None


DYING = """
import os, signal, sys
from pathlib import Path
from mainstay.domain.events.governance import PersonAdded
from mainstay.store import open_store, requests

store = open_store(Path(sys.argv[1]))
with store.change(actor="ana") as change:
    change.record(PersonAdded(name="bo", person_kind="user", roles=[]))
    seen = requests.identify(actor="ana", route="POST /people", key="k1", body=b"{}")
    requests.remember(change, seen, requests.Answer(201, b"{}"))
    if sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("moment", "happened"), [("before", 0), ("after", 1)])
def test_a_kill_around_the_commit_leaves_both_or_neither(
    store: Store, tmp_path: Path, moment: str, happened: int
) -> None:
    subprocess.run([sys.executable, "-c", DYING, str(tmp_path / "workspace"), moment], timeout=60)

    with store.view() as view:
        assert ledger.verify(view).events == happened
        assert view.scalar(select(func.count()).select_from(requests.requests)) == happened
