# SPDX-License-Identifier: Apache-2.0
"""The ledger: one chain whoever writes, and no single alteration of a row goes unseen."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mainstay.domain.errors import Conflict, Corrupt, Invalid
from mainstay.domain.events.governance import PersonAdded, PolicyChanged, WorkspaceMade
from mainstay.store import Store, View, ledger

from ..databases import on_sqlite

MUTATIONS = 1500


def add(store: Store, name: str, *, reason: str = "", because: int | None = None) -> ledger.Entry:
    with store.change(actor="ana", reason=reason, because=because) as change:
        return change.record(PersonAdded(name=name, person_kind="user", roles=["viewer"]))


def verified(store: Store) -> ledger.Verification:
    with store.view() as view:
        return ledger.verify(view)


# The chain


def test_an_empty_ledger_is_whole(store: Store) -> None:
    found = verified(store)

    assert (found.ok, found.events, found.head_seq, found.head_hash) == (True, 0, 0, ledger.FIRST_PREV)


def test_events_are_numbered_without_gaps_and_each_holds_the_hash_of_the_one_before(store: Store) -> None:
    entries = [add(store, f"p{n}") for n in range(5)]

    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.prev for entry in entries] == [ledger.FIRST_PREV, *[entry.hash for entry in entries[:-1]]]
    found = verified(store)
    assert (found.ok, found.events, found.head_seq, found.head_hash) == (True, 5, 5, entries[-1].hash)


def test_what_was_recorded_is_what_is_read(store: Store) -> None:
    first = add(store, "bo", reason="joins the team ✓")
    second = add(store, "cy", because=first.seq)

    with store.view() as view:
        assert [ledger.entry(view, 1), view.event(2), ledger.entry(view, 3)] == [first, second, None]
    assert (first.reason, first.because, second.reason, second.because) == ("joins the team ✓", None, "", 1)


def test_several_events_of_one_change_follow_each_other(store: Store) -> None:
    with store.change(actor="ana") as change:
        one = change.record(WorkspaceMade(program="mainstay"))
        other = change.record(PersonAdded(name="bo", person_kind="user", roles=[]), because=one.seq)

    assert (other.prev, other.because) == (one.hash, one.seq)
    assert verified(store).ok


@pytest.mark.parametrize("because", [0, -1, 2, 2**62])
def test_an_event_cannot_be_caused_by_one_that_did_not_happen(store: Store, because: int) -> None:
    add(store, "bo")

    with pytest.raises(Invalid, match="'because' names event"):
        add(store, "cy", because=because)

    assert verified(store).events == 1


def test_the_number_of_a_subject_counts_its_own_events(store: Store) -> None:
    assert [add(store, name).subject_version for name in ("bo", "cy", "bo", "bo", "cy")] == [1, 1, 2, 3, 2]


def test_a_change_that_saw_an_older_subject_is_refused_and_leaves_nothing(store: Store) -> None:
    seen = add(store, "bo").subject_version
    add(store, "bo")

    with pytest.raises(Conflict, match=r"person:bo has moved on: it is at change 2, you saw 1") as refusal:  # noqa: SIM117
        with store.change(actor="ana") as change:
            change.record(PersonAdded(name="bo", person_kind="user", roles=[]), expected_version=seen)

    assert refusal.value.facts == {"subject": "person:bo", "found": 2, "expected": 1}
    assert verified(store).events == 2


# Reading


def test_events_are_found_by_what_they_are_about(store: Store) -> None:
    for name in ("bo", "cy", "bo"):
        add(store, name)
    with store.change(actor="system") as change:
        change.record(PolicyChanged(name="prod", version=1, digest="0" * 64, content={}))

    def found(**wanted: Any) -> list[int]:
        with store.view() as view:
            return [entry.seq for entry in ledger.search(view, **wanted)]

    assert found() == [4, 3, 2, 1]
    assert found(subject="person:bo") == [3, 1]
    assert found(kind="policy.*") == found(actor="system") == [4]
    assert found(kind="policy") == found(kind="%") == found(kind="%*") == found(kind="person_added") == []
    assert found(after=1, before=4, newest_first=False) == [2, 3]
    assert found(limit=2) == [4, 3]


@on_sqlite
def test_an_event_that_can_no_longer_be_read_is_a_corruption_not_a_crash(store: Store, tmp_path: Path) -> None:
    add(store, "bo")
    with sqlite3.connect(tmp_path / "workspace" / "mainstay.db") as database:
        database.execute("update ledger set body = ?", (b"{}",))

    with store.view() as view, pytest.raises(Corrupt, match="audit verify"):
        ledger.search(view)


# Erasing


@on_sqlite
def test_an_erased_reason_is_gone_and_the_chain_still_holds(store: Store, tmp_path: Path) -> None:
    add(store, "bo", reason="Bo Miller of Leeds asked for it")

    with store.change(actor="ana", reason="erasure request 812") as change:
        ledger.erase_text(change, 1)
        change.record(WorkspaceMade(program="erased"))

    assert verified(store).ok
    with store.view() as view:
        assert ledger.entry(view, 1).reason is None  # type: ignore[union-attr]
        assert ledger.entry(view, 2).reason == "erasure request 812"  # type: ignore[union-attr]
    with sqlite3.connect(tmp_path / "workspace" / "mainstay.db") as database:
        assert not [body for (body,) in database.execute("select body from ledger") if b"Leeds" in body]
        assert database.execute("select seq from ledger_texts").fetchall() == [(2,)]


@on_sqlite
def test_two_equal_reasons_have_different_commitments(store: Store, tmp_path: Path) -> None:
    add(store, "bo", reason="yes")
    add(store, "cy", reason="yes")

    with sqlite3.connect(tmp_path / "workspace" / "mainstay.db") as database:
        bodies = [json.loads(body) for (body,) in database.execute("select body from ledger")]
    assert len({body["reason"] for body in bodies}) == 2
    assert all(len(body["reason"]) == 64 for body in bodies)


# Mutations: every kind of row, every column, one at a time


def flip(value: Any, dice: random.Random) -> Any:
    """Another value that differs in one bit, digit or character."""
    if value is None:
        return dice.choice([1, 7])
    if isinstance(value, int):
        return value ^ (1 << dice.randrange(20))
    data = bytearray(value if isinstance(value, bytes) else value.encode())
    place = dice.randrange(len(data)) if data else None
    if place is None:
        return "x"
    data[place] ^= 1 << dice.randrange(7)
    return bytes(data) if isinstance(value, bytes) else data.decode()


def alter(database: sqlite3.Connection, dice: random.Random) -> str:
    """Change one column of one row."""
    table, columns = dice.choice(
        [
            ("ledger", ["at", "actor", "kind", "subject", "subject_version", "because", "body", "hash", "seq"]),
            ("ledger", ["body"]),
            ("ledger_texts", ["text", "salt", "seq"]),
            ("ledger_head", ["seq", "hash"]),
        ]
    )
    column = dice.choice(columns)
    row, value = dice.choice(database.execute(f"select rowid, {column} from {table}").fetchall())
    database.execute(f"update {table} set {column} = ? where rowid = ?", (flip(value, dice), row))
    return f"{table}.{column} of row {row}"


def replace(database: sqlite3.Connection, dice: random.Random) -> str:
    """Put a value of another type, or none at all, where it does not belong."""
    column = dice.choice(["at", "actor", "kind", "subject", "subject_version", "body", "hash"])
    row = dice.choice(database.execute("select seq from ledger").fetchall())[0]
    value = dice.choice([b"\x00\xff", "text", 10**18, 0.5, b"", "{}", b"[]", b"null"])
    database.execute(f"update ledger set {column} = ? where seq = ?", (value, row))
    return f"ledger.{column} of row {row} became {value!r}"


def delete(database: sqlite3.Connection, dice: random.Random) -> str:
    row = dice.choice(database.execute("select seq from ledger").fetchall())[0]
    database.execute("delete from ledger where seq = ?", (row,))
    return f"row {row} deleted"


def insert(database: sqlite3.Connection, dice: random.Random) -> str:
    """Slip a copy of an event in: below the first, or behind the last."""
    newest = database.execute("select max(seq) from ledger").fetchone()[0]
    seq = dice.choice([0, -1, -(2**40), newest + 1, newest + 5])
    row = dice.randint(1, newest)
    database.execute(
        "insert into ledger select ?, at, actor, kind, subject, subject_version + 1000, because, body, hash"
        " from ledger where seq = ?",
        (seq, row),
    )
    return f"a copy of row {row} at {seq}"


def forge(database: sqlite3.Connection, dice: random.Random) -> str:
    """Slip in an event whose own hash is right."""
    newest = database.execute("select max(seq) from ledger").fetchone()[0]
    row = dice.randint(1, newest - 1)
    stored = json.loads(database.execute("select body from ledger where seq = ?", (row,)).fetchone()[0])
    body = ledger.canonical_json(stored | {"body": {"name": "mallory"}, "actor": "mallory"})
    database.execute(
        "update ledger set body = ?, hash = ?, actor = 'mallory' where seq = ?", (body, ledger._hash(body), row)
    )
    return f"row {row} rewritten with its own hash"


def swap(database: sqlite3.Connection, dice: random.Random) -> str:
    one, other = dice.sample([row[0] for row in database.execute("select seq from ledger")], 2)
    for before, after in ((one, -77), (other, one), (-77, other)):
        database.execute("update ledger set seq = ? where seq = ?", (after, before))
    return f"rows {one} and {other} changed places"


def truncate(database: sqlite3.Connection, dice: random.Random) -> str:
    newest = database.execute("select max(seq) from ledger").fetchone()[0]
    keep = dice.randrange(newest)
    database.execute("delete from ledger where seq > ?", (keep,))
    return f"cut behind {keep}"


def rewrite_head(database: sqlite3.Connection, dice: random.Random) -> str:
    """The head says it is an earlier event; or there are two heads, or none."""
    way = dice.randrange(3)
    if way == 0:
        row = dice.randint(1, database.execute("select max(seq) from ledger").fetchone()[0] - 1)
        database.execute("update ledger_head set (seq, hash) = (select seq, hash from ledger where seq = ?)", (row,))
        return f"the head moved back to {row}"
    if way == 1:
        database.execute("insert into ledger_head select 2, seq, hash from ledger_head")
        return "two heads"
    database.execute("delete from ledger_head")
    return "no head"


def tell_other_reason(database: sqlite3.Connection, dice: random.Random) -> str:
    """Another text, one where there was none, or one for an event that is not there."""
    seq = dice.choice([row[0] for row in database.execute("select seq from ledger")] + [999])
    database.execute("insert or replace into ledger_texts values (?, ?, 'because I say so')", (seq, "ab" * 32))
    return f"another reason for {seq}"


WAYS: list[Callable[[sqlite3.Connection, random.Random], str]] = [
    alter,
    alter,
    replace,
    delete,
    insert,
    forge,
    swap,
    truncate,
    rewrite_head,
    tell_other_reason,
]


@on_sqlite  # the walk reads the same rows on any database; here they are altered behind its back
def test_every_single_mutation_is_detected_and_nothing_else_is(store: Store) -> None:
    for n in range(12):
        add(store, f"p{n % 5}", reason=f"reason {n}" if n % 3 else "", because=n if n % 2 and n > 1 else None)
    dice = random.Random(20130101)
    unseen, seen = [], 0

    assert verified(store).problems == ()
    for n in range(MUTATIONS):
        # In a transaction that is taken back, so that each mutation is the only one.
        with store.engine.connect().execution_options(writes=True) as connection, connection.begin() as transaction:
            database: Any = connection.connection.driver_connection
            with suppress(sqlite3.IntegrityError):  # two rows of one number: the database itself refuses
                done = WAYS[n % len(WAYS)](database, dice)
                if ledger.verify(View(connection, store.blobs, store.clock)).ok:
                    unseen.append(done)
                seen += 1
            transaction.rollback()

    assert unseen == []
    assert seen > 1000
    assert verified(store).problems == ()


def test_the_walk_is_the_same_in_batches_of_any_size(store: Store) -> None:
    for n in range(7):
        add(store, f"p{n}")

    with store.view() as view:
        assert {ledger.verify(view, batch=size) for size in (1, 2, 7, 8, 5000)} == {ledger.verify(view)}


@on_sqlite
@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("delete from ledger where seq = 3", "event 3 is missing; the next one found is 4"),
        ("delete from ledger where seq > 3", "the head says event 5, the last event found is 3"),
        ("update ledger set body = x'00' where seq = 2", "event 2 was altered: its bytes do not give its hash"),
        ("update ledger set actor = 'bo' where seq = 2", "event 2 shows actor 'bo', but 'ana' was recorded"),
        (
            "update ledger_texts set text = 'no' where seq = 2",
            "event 2 shows another reason than the one that was recorded",
        ),
        ("insert into ledger_texts values (9, 'x', 'y')", "a reason stands for event 9, which there is not"),
    ],
)
def test_what_is_wrong_is_said_with_the_number_of_the_event(store: Store, tmp_path: Path, done: str, said: str) -> None:
    for n in range(5):
        add(store, f"p{n}", reason="because")
    with sqlite3.connect(tmp_path / "workspace" / "mainstay.db") as database:
        database.execute(done)

    assert any(problem.startswith(said) for problem in verified(store).problems)
