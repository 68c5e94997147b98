# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL as the store's second database: one writer among many processes, and words for what goes wrong there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from mainstay.domain.errors import Conflict, Invalid, MainstayError, Unavailable
from mainstay.domain.events.governance import PersonAdded, WorkspaceMade
from mainstay.store import Store, jobs, ledger, open_store, requests
from mainstay.store.tables import cursors

from .. import databases
from ..databases import on_postgres, schema_of

pytestmark = on_postgres


@pytest.fixture
def other(store: Store, tmp_path: Path) -> Iterator[Store]:
    """The same workspace, opened a second time: what another process sees."""
    opened = open_store(tmp_path / "workspace", clock=store.clock)
    yield opened
    opened.close()


def admin(statement: str) -> object:
    """Said to the server from outside, by its superuser."""
    import psycopg

    with psycopg.connect(os.environ["MAINSTAY_DATABASE_URL"], autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def end_connections(store: Store) -> None:
    """As a restart of the server does."""
    with store.view() as view:
        name = view.scalar(text("show application_name"))
    admin(f"select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{name}'")


# Where the rows are


def test_the_rows_are_in_a_schema_of_the_workspace_and_no_file_of_it_is_a_database(
    store: Store, tmp_path: Path
) -> None:
    with store.view() as view:
        assert view.scalar(text("select current_schema()")) == schema_of(tmp_path / "workspace")

    assert sorted(file.name for file in (tmp_path / "workspace").iterdir()) == ["blobs", "postgresql"]


def test_every_text_is_compared_byte_by_byte_whatever_the_database_s_own_order_is(store: Store) -> None:
    with store.view() as view:
        query = text(
            "select table_name, column_name from information_schema.columns where table_schema = current_schema() "
            "and data_type in ('character varying', 'text') and collation_name is distinct from 'C'"
        )
        found = [tuple(row) for row in view.rows(query)]

    assert found == []


def test_a_write_waits_for_the_disk_whatever_the_server_s_default_is(store: Store) -> None:
    with store.ingest() as ingest:
        assert ingest.scalar(text("show synchronous_commit")) == "on"
        assert ingest.scalar(text("show transaction_isolation")) == "read committed"
    with store.view() as view:
        assert view.scalar(text("show transaction_isolation")) == "repeatable read"
        assert view.scalar(text("show transaction_read_only")) == "on"


def test_a_workspace_whose_rows_are_elsewhere_does_not_begin_anew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAINSTAY_DATABASE_URL")

    with pytest.raises(Conflict, match="keeps its rows in PostgreSQL; set MAINSTAY_DATABASE_URL"):
        open_store(tmp_path / "workspace")


def test_an_embedded_workspace_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.delenv("MAINSTAY_DATABASE_URL")
        open_store(tmp_path / "embedded").close()

    with pytest.raises(Conflict, match="has an embedded database"):
        open_store(tmp_path / "embedded")


# What cannot be used


def url(**parts: object) -> str:
    return make_url(os.environ["MAINSTAY_DATABASE_URL"]).set(**parts).render_as_string(False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "kind", "said"),
    [
        ("mysql://u@h/d", Invalid, "postgresql://USER:PASSWORD@HOST/NAME is expected"),
        ("nonsense", Invalid, "postgresql://USER:PASSWORD@HOST/NAME is expected"),
        (
            "postgresql://u:hidden@127.0.0.1:1/d",
            Unavailable,
            "database d on 127.0.0.1 cannot be used: .*See that it runs",
        ),
        ({"database": "nowhere"}, Unavailable, '"nowhere" does not exist'),
        ({"username": "nobody"}, Unavailable, '"nobody" does not exist'),
    ],
)
def test_what_cannot_be_opened_says_why_and_never_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: object, kind: type[MainstayError], said: str
) -> None:
    monkeypatch.setenv("MAINSTAY_DATABASE_URL", url(**address) if isinstance(address, dict) else str(address))

    with pytest.raises(kind, match=said) as refused:
        open_store(tmp_path / "workspace")

    assert "hidden" not in refused.value.message


@pytest.mark.parametrize("name", ["Big", "a-b", 'a"b', "x" * 64, "1a"])
def test_a_schema_has_a_plain_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("MAINSTAY_DATABASE_SCHEMA", name)

    with pytest.raises(Invalid, match="MAINSTAY_DATABASE_SCHEMA"):
        open_store(tmp_path / "workspace")


def test_without_the_driver_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(Unavailable, match=r"pip install mainstay\[postgres\]"):
        open_store(tmp_path / "workspace")


def test_a_text_that_the_database_cannot_hold_is_the_sender_s_fault(store: Store) -> None:
    for rows in (1, 50):  # one by one, and by COPY
        with pytest.raises(Invalid, match="NUL"), store.ingest() as ingest:
            ingest.bulk_append(cursors, [(f"a\0{n}", 1) for n in range(rows)], columns=("follower", "seq"))
    with pytest.raises(Invalid, match="too large"), store.ingest() as ingest:
        ingest.insert(cursors, follower="a", seq=1 << 70)


def test_a_server_that_restarts_costs_the_requests_of_the_moment_and_no_more(store: Store) -> None:
    with store.ingest() as ingest:
        ingest.insert(cursors, follower="before", seq=1)
    end_connections(store)
    with store.ingest() as ingest:
        ingest.insert(cursors, follower="between", seq=1)

    with pytest.raises(Unavailable, match="has just stopped"), store.ingest() as ingest:
        ingest.insert(cursors, follower="during", seq=1)
        end_connections(store)
        ingest.insert(cursors, follower="during too", seq=1)
    with store.ingest() as ingest:
        ingest.insert(cursors, follower="after", seq=1)

    assert followers(store) == {"before", "between", "after"}


def followers(store: Store) -> set[str]:
    with store.view() as view:
        return {row.follower for row in view.rows(select(cursors))}


def test_a_writer_waits_for_another_process_and_not_for_ever(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.ingest() as ingest:
        ingest.execute(text("set lock_timeout to '50ms'"))

    with other.ingest(), pytest.raises(Unavailable, match="busy with another writer"), store.ingest():
        pass

    with store.ingest() as ingest:
        ingest.insert(cursors, follower="f", seq=1)
    assert followers(other) == {"f"}


# Many processes, one truth


def test_a_view_sees_one_state_while_another_process_writes(store: Store, other: Store) -> None:
    with store.view() as view:
        before = view.rows(select(cursors))
        with other.ingest() as ingest:
            ingest.insert(cursors, follower="f", seq=1)
        assert view.rows(select(cursors)) == before == []

    assert followers(store) == {"f"}


def test_a_writer_reads_what_the_writer_before_it_committed(store: Store, other: Store) -> None:
    """Two processes that count what is there and add one: the second must not count before the first has committed."""

    def add(which: Store) -> None:
        for _ in range(20):
            with which.ingest() as ingest:
                ingest.insert(cursors, follower=f"{len(ingest.rows(select(cursors)))}", seq=1)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, [store, other]))

    assert followers(store) == {str(n) for n in range(40)}


def test_a_job_is_leased_once_among_processes(store: Store, other: Store) -> None:
    with store.ingest() as ingest:
        for n in range(20):
            jobs.enqueue(ingest, kind="judge", body={"n": n}, by="ana")

    def work(which: Store) -> list[str]:
        taken = []
        while True:
            with which.ingest() as ingest:
                leased = jobs.lease(ingest, worker="w", kinds=["judge"], seconds=60)
            if leased is None:
                return taken
            taken.append(leased.id)

    with ThreadPoolExecutor(4) as pool:
        taken = [job for found in pool.map(work, [store, other, store, other]) for job in found]

    assert len(taken) == len(set(taken)) == 20


def test_a_request_that_comes_to_two_processes_at_once_happens_once(store: Store, other: Store) -> None:
    seen = requests.identify(actor="ana", route="POST /x", key="k", body=b"{}")
    go = threading.Barrier(8)

    def ask(which: Store) -> bool:
        go.wait()

        def work(ingest: object) -> bool:
            if requests.recall(ingest, seen):  # type: ignore[arg-type]
                return False
            requests.remember(ingest, seen, requests.Answer(200, b"{}"))  # type: ignore[arg-type]
            return True

        return which.ingest_together(work)

    with ThreadPoolExecutor(8) as pool:
        happened = list(pool.map(ask, [store, other] * 4))

    assert happened.count(True) == 1


def test_a_commit_wakes_who_waits_in_another_process(store: Store, other: Store) -> None:
    seen = other.commits

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other.wait_for_commit, seen, 60)
        with store.change(actor="ana") as change:
            change.record(WorkspaceMade(program="mainstay"))

        assert waiting.result(timeout=30) > seen


def test_a_commit_while_nobody_could_listen_is_heard_of_afterwards(store: Store, other: Store) -> None:
    seen = other.wait_for_commit(0, 0)
    end_connections(other)
    with store.ingest() as ingest:
        ingest.insert(cursors, follower="f", seq=1)

    assert other.wait_for_commit(seen, 30) > seen


HOLDER = """
import os, sys
from pathlib import Path
from mainstay.store import open_store

with open_store(Path(sys.argv[1])).ingest():
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_writer_that_is_killed_lets_the_next_one_in(store: Store, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "workspace")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "holds\n"

    holder.send_signal(signal.SIGKILL)
    with store.ingest() as ingest:
        ingest.insert(cursors, follower="f", seq=1)

    holder.communicate()
    assert followers(store) == {"f"}


def test_one_process_leads_until_it_is_gone(store: Store, other: Store, tmp_path: Path) -> None:
    assert store.leads()
    assert not other.leads()
    assert store.leads()

    store.database.close()
    # The server hears of a closed connection when it gets to it.
    assert any(other.leads() or time.sleep(0.05) for _ in range(200))

    third = open_store(tmp_path / "workspace")
    assert not third.leads()
    end_connections(third)  # also that of the one who leads: nobody does until the next look
    for _ in range(2):
        leaders = [third.leads(), other.leads()]
    assert leaders.count(True) == 1
    third.close()


def test_two_processes_that_change_at_once_keep_one_chain(store: Store, other: Store) -> None:
    def work(turn: tuple[int, Store]) -> None:
        for n in range(15):
            with turn[1].change(actor=f"a{turn[0]}") as change:
                change.record(PersonAdded(name=f"{turn[0]}.{n}", person_kind="user", roles=[]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, enumerate([store, other, store, other])))

    with store.view() as view:
        found = ledger.verify(view)
    assert (found.problems, found.events) == ((), 60)


def test_a_schema_is_used_again_by_another_test_only_where_it_is_known_what_a_new_one_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that a test starts may make a workspace before this process has made one."""
    databases.make(tmp_path / "first")
    monkeypatch.setattr(databases, "_first_rows", {})
    monkeypatch.setattr(databases, "_left", [])

    databases.forget(tmp_path)

    assert databases._left == []
