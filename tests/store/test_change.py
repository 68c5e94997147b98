# SPDX-License-Identifier: Apache-2.0
"""Change, Ingest and View: no event no change, no half change, and one chain however many write."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from mainstay.domain.errors import Invalid, Unavailable
from mainstay.domain.events.governance import PersonAdded, WorkspaceMade
from mainstay.store import Change, Store, jobs, ledger, open_store, requests
from mainstay.store.schema import microseconds_of
from mainstay.store.tables import cursors


def followers(store: Store) -> dict[str, int]:
    with store.view() as view:
        return {row.follower: row.seq for row in view.rows(select(cursors))}


def events(store: Store) -> int:
    with store.view() as view:
        found = ledger.verify(view)
    assert found.problems == ()
    return found.events


def write(change: Change, name: str) -> None:
    change.insert(cursors, follower=name, seq=1)
    change.record(PersonAdded(name=name, person_kind="user", roles=[]))


def test_a_change_without_an_event_refuses_to_commit_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError, match="records no event"), store.change(actor="ana") as change:
        change.insert(cursors, follower="f", seq=1)

    assert (followers(store), events(store)) == ({}, 0)


@pytest.mark.parametrize("raised", [Invalid("no."), KeyError("x"), KeyboardInterrupt()], ids=lambda e: type(e).__name__)
def test_a_change_that_raises_leaves_neither_rows_nor_events(store: Store, raised: BaseException) -> None:
    with pytest.raises(type(raised)), store.change(actor="ana") as change:
        write(change, "f")
        raise raised

    assert (followers(store), events(store)) == ({}, 0)


def test_the_store_goes_on_after_a_change_that_failed(store: Store) -> None:
    with pytest.raises(KeyError), store.change(actor="ana"):
        raise KeyError

    with store.change(actor="ana") as change:
        write(change, "f")

    assert (followers(store), events(store)) == ({"f": 1}, 1)


def test_telemetry_is_durable_and_leaves_no_event(store: Store) -> None:
    with store.ingest() as ingest:
        assert ingest.bulk_append(cursors, [{"follower": f"f{n}", "seq": n} for n in range(3)]) == 3
        assert ingest.bulk_append(cursors, []) == 0

    assert (followers(store), events(store)) == ({"f0": 0, "f1": 1, "f2": 2}, 0)


def test_many_rows_may_come_as_tuples_and_every_type_is_stored_as_it_is_one_by_one(store: Store) -> None:
    moment = datetime(2013, 5, 1, 12, 30, tzinfo=UTC) + timedelta(microseconds=7)
    columns = ("id", "kind", "body", "state", "attempt", "created_at", "created_by")

    with store.ingest() as ingest:
        rows = [(f"many-{n}", "judge", {"n": n, "é": None}, "queued", 0, moment, "ana") for n in range(3)]
        assert ingest.bulk_append(jobs.jobs, rows, columns=columns) == 3
        assert ingest.bulk_append(jobs.jobs, [], columns=columns) == 0
        ingest.insert(
            jobs.jobs, **dict(zip(columns, ("one", "judge", {"n": 9}, "queued", 0, moment, "ana"), strict=True))
        )
        microseconds = microseconds_of(moment)
        ingest.bulk_append(jobs.jobs, [("us", "judge", {}, "queued", 0, microseconds, "ana")], columns=columns)

    with store.view() as view:
        found = {job.id: job for job in jobs.listed(view)}
    assert [found[f"many-{n}"].body for n in range(3)] == [{"n": n, "é": None} for n in range(3)]
    assert found["one"].body == {"n": 9}
    assert {job.created_at for job in found.values()} == {moment}
    assert {job.finished_at for job in found.values()} == {None}


def test_a_row_that_has_no_value_for_a_column_of_the_first_is_a_mistake_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(KeyError), store.ingest() as ingest:
        ingest.bulk_append(cursors, [{"follower": "a", "seq": 1}, {"follower": "b"}])
    with pytest.raises(ValueError), store.ingest() as ingest:
        ingest.bulk_append(requests.requests, [("k", 1), ("k2",)], columns=("key", "at"))

    assert followers(store) == {}


def test_a_view_sees_one_state_while_others_write(store: Store) -> None:
    with store.view() as view:
        before = view.rows(select(cursors))
        with store.ingest() as ingest:
            ingest.insert(cursors, follower="f", seq=1)
        assert view.rows(select(cursors)) == before == []

    assert followers(store) == {"f": 1}


def test_a_view_cannot_write(store: Store) -> None:
    with pytest.raises(Unavailable), store.view() as view:
        view.rows(insert(cursors).values(follower="f", seq=1).returning(cursors.c.seq))

    assert followers(store) == {}


def test_a_commit_wakes_who_waits_and_a_refused_change_does_not(store: Store) -> None:
    seen = store.wait_for_commit(0, 0)
    with pytest.raises(RuntimeError), store.change(actor="ana"):
        pass
    assert store.wait_for_commit(seen, 0) == seen

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait_for_commit, seen, 60)
        with store.change(actor="ana") as change:
            change.record(WorkspaceMade(program="mainstay"))

        assert waiting.result(timeout=30) > seen


def test_writers_in_many_threads_keep_one_chain(store: Store) -> None:
    def work(thread: int) -> None:
        for n in range(10):
            with store.change(actor=f"a{thread}") as change:
                write(change, f"{thread}.{n}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert (len(followers(store)), events(store)) == (80, 80)


WRITER = """
import sys
from pathlib import Path
from mainstay.domain.events.governance import PersonAdded
from mainstay.store import open_store
from mainstay.store.tables import cursors

store = open_store(Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    with store.change(actor=sys.argv[2]) as change:
        change.insert(cursors, follower=f"{sys.argv[2]}.{n}", seq=n)
        change.record(PersonAdded(name=f"{sys.argv[2]}.{n}", person_kind="user", roles=[]))
    print(f"{sys.argv[2]}.{n}", flush=True)
"""


def start_writer(folder: Path, name: str, changes: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(changes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_open_a_fresh_workspace_at_once_and_write_keep_one_chain(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path / "fresh", f"w{n}", 10) for n in range(4)]

    ended = [(writer.communicate(timeout=60)[1], writer.returncode) for writer in writers]

    assert ended == [("", 0)] * 4
    store = open_store(tmp_path / "fresh")
    assert (len(followers(store)), events(store)) == (40, 40)
    store.close()


def test_no_acknowledged_change_is_lost_when_its_writer_is_killed(tmp_path: Path) -> None:
    folder, acknowledged = tmp_path / "workspace", set()
    open_store(folder).close()

    for kill in range(6):
        writer = start_writer(folder, f"w{kill}", 100_000)
        assert writer.stdout is not None
        for _ in range(3 + 5 * kill):
            acknowledged.add(writer.stdout.readline().strip())
        writer.kill()
        acknowledged.update(writer.stdout.read().split())
        writer.communicate()

    store = open_store(folder)
    kept = followers(store)
    assert acknowledged <= set(kept)
    # At most the change that each writer had committed and not yet told of.
    assert len(kept) - len(acknowledged) <= 6
    assert events(store) == len(kept)
    store.close()
