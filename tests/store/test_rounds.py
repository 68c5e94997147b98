# SPDX-License-Identifier: Apache-2.0
"""Rounds: those who write at the same moment share one commit, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError

from mainstay.domain.errors import Conflict, StorageFull, Unavailable
from mainstay.domain.events.governance import PersonAdded
from mainstay.store import Ingest, Store, open_store, rounds
from mainstay.store.databases import FULL_DISK
from mainstay.store.tables import cursors

Work = Callable[[Ingest], Any]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as pool:
        yield pool


@pytest.fixture
def commits(store: Store) -> list[Any]:
    """One entry for each commit of a writer."""
    seen: list[Any] = []

    def note(connection: Any) -> None:
        if connection.get_execution_options().get("writes"):
            seen.append(connection)

    event.listen(store.engine, "commit", note)
    return seen


def writes(name: str) -> Work:
    def work(ingest: Ingest) -> str:
        ingest.insert(cursors, follower=name, seq=1)
        return name

    return work


def raises(name: str, error: BaseException) -> Work:
    def work(ingest: Ingest) -> None:
        writes(name)(ingest)
        raise error

    return work


def followers(store: Store) -> set[str]:
    with store.view() as view:
        return {row.follower for row in view.rows(select(cursors))}


def handed_in(store: Store, threads: ThreadPoolExecutor, works: list[Work]) -> list[Future[Any]]:
    """Every work waits, in this order, while a governed change holds the writer's place; then they may go."""
    with store.change(actor="ana") as change:
        change.record(PersonAdded(name="bo", person_kind="user", roles=[]))
        futures = []
        for n, work in enumerate(works, start=1):
            futures.append(threads.submit(store.ingest_together, work))
            until(lambda n=n: len(store._rounds._waiting) == n)
    return futures


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_is_alone_goes_at_once_and_gets_its_answer(store: Store, commits: list[Any]) -> None:
    assert store.ingest_together(writes("f")) == "f"

    assert (followers(store), len(commits)) == ({"f"}, 1)


def test_all_that_wait_share_one_commit(store: Store, threads: ThreadPoolExecutor, commits: list[Any]) -> None:
    names = [f"f{n}" for n in range(30)]

    futures = handed_in(store, threads, [writes(name) for name in names])

    assert [future.result(timeout=30) for future in futures] == names
    assert followers(store) == set(names)
    assert len(commits) == 2  # the change's, and one for all of them


def test_a_round_has_no_more_than_so_many_turns(
    store: Store, threads: ThreadPoolExecutor, commits: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST_TURNS", 4)

    for future in handed_in(store, threads, [writes(f"f{n}") for n in range(10)]):
        future.result(timeout=30)

    assert (len(followers(store)), len(commits)) == (10, 1 + 3)


def test_one_that_raises_undoes_its_own_part_and_gets_its_own_error(store: Store, threads: ThreadPoolExecutor) -> None:
    works = [writes("a"), raises("b", Conflict("no.")), writes("c"), raises("d", KeyError("d")), writes("e")]

    futures = handed_in(store, threads, works)

    assert [type(future.exception(timeout=30)) for future in futures] == [
        type(None),
        Conflict,
        type(None),
        KeyError,
        type(None),
    ]
    assert followers(store) == {"a", "c", "e"}


def test_one_that_breaks_a_table_s_rule_breaks_nothing_else(store: Store, threads: ThreadPoolExecutor) -> None:
    futures = handed_in(store, threads, [writes("a"), writes("a"), writes("b")])

    assert [type(future.exception(timeout=30)) for future in futures] == [type(None), IntegrityError, type(None)]
    assert followers(store) == {"a", "b"}


def test_one_that_is_alone_and_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(Conflict):
        store.ingest_together(raises("f", Conflict("no.")))

    assert followers(store) == set()
    assert store.ingest_together(writes("g")) == "g"


def test_a_later_turn_sees_what_an_earlier_one_wrote(store: Store, threads: ThreadPoolExecutor) -> None:
    def counted(ingest: Ingest) -> int:
        return len(ingest.rows(select(cursors)))

    futures = handed_in(store, threads, [counted, writes("a"), counted])

    assert [future.result(timeout=30) for future in futures] == [0, "a", 1]


def test_when_the_commit_fails_nobody_is_told_that_it_went_well(
    store: Store, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_connection: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.engine.dialect, "do_commit", full)
    with pytest.raises(StorageFull), store.ingest() as ingest:
        ingest.insert(cursors, follower="x", seq=1)
    monkeypatch.undo()

    def break_commit(ingest: Ingest) -> None:
        monkeypatch.setattr(store.engine.dialect, "do_commit", full)

    futures = handed_in(store, threads, [writes("a"), break_commit, writes("c")])

    assert [type(future.exception(timeout=30)) for future in futures] == [StorageFull] * 3
    monkeypatch.undo()
    assert followers(store) == set()


def test_when_the_database_gives_up_the_transaction_the_round_is_over(
    store: Store, threads: ThreadPoolExecutor
) -> None:
    def abandon(ingest: Ingest) -> None:
        ingest._connection.exec_driver_sql("ROLLBACK")  # as SQLite does by itself when the disk is full
        raise StorageFull(FULL_DISK)

    futures = handed_in(store, threads, [writes("a"), abandon, writes("c")])

    assert [type(future.exception(timeout=30)) for future in futures] == [StorageFull] * 3
    assert followers(store) == set()
    assert store.ingest_together(writes("g")) == "g"


def test_an_interrupted_leader_leaves_nobody_waiting(store: Store, threads: ThreadPoolExecutor) -> None:
    futures = handed_in(store, threads, [writes("a"), raises("b", KeyboardInterrupt()), writes("c")])

    assert all(future.exception(timeout=30) for future in futures)
    assert followers(store) == set()
    assert store.ingest_together(writes("g")) == "g"


def test_a_writer_that_cannot_begin_says_so_and_the_next_can(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> Any:
        raise Unavailable("busy.")

    monkeypatch.setattr(store.database, "writing", busy)
    with pytest.raises(Unavailable):
        store.ingest_together(writes("a"))
    monkeypatch.undo()
    assert store.ingest_together(writes("g")) == "g"


def test_many_threads_that_write_again_and_again_lose_nothing(store: Store, threads: ThreadPoolExecutor) -> None:
    go = threading.Barrier(16)

    def work(thread: int) -> None:
        go.wait()
        for n in range(40):
            assert store.ingest_together(writes(f"{thread}.{n}")) == f"{thread}.{n}"
            if n % 10 == 0:
                with store.change(actor="ana") as change:
                    change.record(PersonAdded(name=f"p{thread}.{n}", person_kind="user", roles=[]))

    list(threads.map(work, range(16)))

    assert len(followers(store)) == 640


WRITER = """
import sys, threading
from pathlib import Path
from mainstay.store import open_store
from mainstay.store.tables import cursors

store, said = open_store(Path(sys.argv[1])), threading.Lock()
def write(thread):
    for n in range(100_000):
        name = f"{sys.argv[2]}.{thread}.{n}"
        store.ingest_together(lambda ingest: ingest.insert(cursors, follower=name, seq=n))
        with said:
            print(name, flush=True)
for thread in range(8):
    threading.Thread(target=write, args=(thread,)).start()
"""


def test_no_acknowledged_turn_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    folder, acknowledged = tmp_path / "workspace", set()
    open_store(folder).close()

    for kill in range(4):
        command = [sys.executable, "-c", WRITER, str(folder), f"w{kill}"]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(40 + 30 * kill):
            acknowledged.add(writer.stdout.readline().strip())
        writer.kill()
        acknowledged.update(line for line in writer.stdout.read().split("\n")[:-1])
        writer.communicate()

    store = open_store(folder)
    assert acknowledged <= followers(store)
    assert len(followers(store)) - len(acknowledged) <= 4 * 8
    store.close()
