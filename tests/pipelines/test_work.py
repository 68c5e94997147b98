# SPDX-License-Identifier: Apache-2.0
"""Work that somebody asks for."""

from __future__ import annotations

import pytest

from mainstay.domain.errors import Invalid, TooLarge
from mainstay.lifecycle.pipelines import work
from mainstay.store import Store, jobs, ledger


def test_a_job_is_in_the_queue_and_in_the_ledger(store: Store) -> None:
    with store.change(actor="ana", reason="drift", because=1) as change:
        asked = work.ask(change, kind="run_pipeline", body={"entry": "flights.py:late", "params": {"depth": 6}})

    with store.view() as view:
        event = ledger.search(view, kind="job.asked")[0]
    assert (event.subject, event.because, event.body["asked"]["params"]) == (f"job:{asked.id}", 1, {"depth": 6})
    with store.ingest() as ingest:
        leased = jobs.lease(ingest, worker="w", kinds=["run_pipeline"], seconds=30)
    assert leased is not None
    assert (leased.id, leased.because, leased.created_by) == (asked.id, 1, "ana")


def test_a_job_that_cannot_be_is_refused(store: Store) -> None:
    for kind, body, error in (
        ("a b", {}, Invalid),
        ("x", {"a": float("nan")}, Invalid),
        ("x", {"a": "x" * 300_000}, TooLarge),
    ):
        with pytest.raises(error), store.change(actor="ana") as change:
            work.ask(change, kind=kind, body=body)

    with store.view() as view:
        assert jobs.listed(view) == []
