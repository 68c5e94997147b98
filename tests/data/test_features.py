# SPDX-License-Identifier: Apache-2.0
"""Versions of feature views and their online tables: numbered by content, and answered from by their own version only."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from mainstay.client.inprocess import URL
from mainstay.client.wire import Wire
from mainstay.domain.digests import digest_of, sha256_hex
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.features import ViewVersion
from mainstay.features import definitions, rows
from mainstay.features.rows import Row
from mainstay.gateway.control import WireControl
from mainstay.lifecycle.data.features import online_rows, tables, views
from mainstay.store import Store

START = datetime(2012, 1, 1, tzinfo=UTC)
SPEND = definitions.make("spend", entity="id", time="at", ttl="90d").to_json()


def declare(store: Store, word: str = "code", **facts: Any) -> ViewVersion:
    ordinary = {
        "definition": SPEND,
        "closure": digest_of(word),
        "entity": [{"name": "id", "type": "int"}],
        "columns": [{"name": "amount", "type": "float"}],
        "entry": "shop.py:spend",
    }
    with store.change(actor="ana") as change:
        return views.declare(change, **(ordinary | facts))


def table(store: Store, amounts: list[float], **more: list[Any]) -> str:
    rows = {"id": list(range(len(amounts))), "at": pa.array([START] * len(amounts), pa.timestamp("us", "UTC"))}
    sink = io.BytesIO()
    pq.write_table(pa.table({**rows, "amount": amounts, **more}), sink)
    return store.blobs.put(sink.getvalue())[0]


def write(store: Store, new: list[Row], version: int = 1, sequence: int | None = None) -> int:
    with store.ingest() as ingest:
        return online_rows.put(ingest, view="spend", version=version, new=new, sequence=sequence)


def materialise(store: Store, blob: str, version: int = 1, days: float = 1.0, **more: Any) -> Any:
    """As an engine does it: what changed since the newest table is written, then told to count."""
    with store.view() as view:
        newest = views.table(view, "spend", version)
    new = pq.read_table(store.blobs.path(blob))
    old = newest and pq.read_table(store.blobs.path(newest.blob))
    changed = list(rows.changed(definitions.from_json(SPEND), old, new, ["amount"]))
    sequence = write(store, changed, version) if changed else None
    told = {"sequence": sequence, "since": newest.sequence if newest else 0, "changed": len(changed)} | more
    with store.change(actor="ana") as change:
        return views.materialise(
            change, view="spend", version=version, blob=blob, watermark=START + timedelta(days=days), **told
        )


def known(store: Store, ids: list[int], sequence: int) -> list[str | None]:
    with store.view() as view:
        found = online_rows.as_of(view, "spend", 1, [rows.key_text([each]) for each in ids], sequence)
    return [row and row.cells for row in found]


def pin(version: ViewVersion, **facts: Any) -> dict[str, Any]:
    return {"view": "spend", "version": version.number, "digest": version.digest} | facts


def test_another_state_has_another_number_and_the_same_state_its_own(store: Store) -> None:
    first, second = declare(store), declare(store, "other code")
    third = declare(store, definition=SPEND | {"ttl": "30d"})

    assert [first.id, second.id, third.id] == ["spend/1", "spend/2", "spend/3"]
    assert len({first.digest, second.digest, third.digest}) == 3
    with pytest.raises(Conflict, match="spend/2 already"):
        declare(store, "other code")
    with store.view() as view:
        assert [each.number for each in views.versions(view, "spend")] == [3, 2, 1]
        assert views.names(view) == ["spend"]


def test_a_model_is_answered_by_its_own_version_or_not_at_all(store: Store) -> None:
    first, second = declare(store), declare(store, "other code")
    with (
        store.view() as view,
        pytest.raises(Conflict, match="trained on view spend/1, and nothing of it is materialised"),
    ):
        views.pinned(view, [pin(first)])

    materialise(store, table(store, [1.0]), version=2)
    with store.view() as view:
        assert views.pinned(view, [pin(second)]) == [{"view": "spend/2", "digest": second.digest}]
        with pytest.raises(Conflict, match=r"and what is materialised is spend/2; run shop\.py:spend as it was then"):
            views.pinned(view, [pin(first)])
        with pytest.raises(Conflict, match="not known here"):
            views.pinned(view, [pin(first, digest="0" * 64)])
        with pytest.raises(Conflict, match="not known here"):
            views.pinned(view, [pin(first, view="unheard")])
        assert views.routed(view, pin(first))["online"] is None


def test_the_newest_table_of_a_version_is_answered_from(store: Store) -> None:
    version = declare(store)
    old, new = table(store, [1.0]), table(store, [2.0, 3.0])

    materialise(store, old)
    materialise(store, new, days=2)

    with store.view() as view:
        routed = views.routed(view, pin(version))
        assert (routed["online"]["blob"], routed["online"]["rows"], routed["fault"]) == (new, 2, None)
        assert [each.blob for each in views.tables_of(view, "spend")] == [new, old]
        found = online_rows.lookup(view, "spend", 1, {"id": 1})
        assert (found["items"], found["state"]) == ([{"id": 1, "at": START, "amount": 3.0}], "stale")
        assert found["expires_at"] == START + timedelta(days=90) and found["age_s"] > 90 * 86_400
        assert online_rows.lookup(view, "spend", 1, {"id": "1"})["items"] == found["items"]
        nobody = online_rows.lookup(view, "spend", 1, {"id": 9})
        assert (nobody["items"], nobody["state"]) == ([], "unknown")
        for entity in ({"id": "x"}, {"id": True}, {}, {"other": 1}):
            with pytest.raises(Invalid):
                online_rows.lookup(view, "spend", 1, entity)
    with pytest.raises(Conflict, match="would take back what happened since"):
        materialise(store, old, days=1.5)


def test_a_table_of_something_else_is_refused(store: Store) -> None:
    declare(store)

    def publish(blob: str, version: int = 1) -> None:
        told = {"watermark": START, "sequence": None, "since": 0, "changed": 0}
        with store.change(actor="ana") as change:
            views.materialise(change, view="spend", version=version, blob=blob, **told)

    for blob, told in (
        (table(store, [1.0], more=[1]), "other columns than spend/1"),
        (store.blobs.put(b"a,b\n1,2\n")[0], "is not Parquet"),
    ):
        with pytest.raises(Invalid, match=told):
            publish(blob)
    for version, blob in ((7, table(store, [1.0])), (1, "0" * 64)):
        with pytest.raises(NotFound):
            publish(blob, version)


def test_a_refresh_writes_what_changed_and_each_table_is_read_as_it_was(store: Store) -> None:
    declare(store)

    first = materialise(store, table(store, [1.0, 2.0, 3.0]))
    second = materialise(store, table(store, [1.0, 9.0]), days=2)
    third = materialise(store, table(store, [1.0, 9.0]), days=3)

    assert [each.changed for each in (first, second, third)] == [3, 2, 0]
    assert known(store, [0, 1, 2, 7], first.sequence) == ["[1.0]", "[2.0]", "[3.0]", None]
    assert known(store, [0, 1, 2], second.sequence) == ["[1.0]", "[9.0]", None]
    assert known(store, [0, 1, 2], third.sequence) == ["[1.0]", "[9.0]", None]
    with store.view() as view:
        assert online_rows.changed(view, "spend", 1, after=1, until=2) == ["[1]", "[2]"]
        assert online_rows.changed(view, "spend", 1, after=2, until=3) == []


def test_nobody_sees_a_refresh_that_is_not_published_and_one_that_died_does_no_harm(store: Store) -> None:
    declare(store)
    first = materialise(store, table(store, [1.0, 2.0]))

    died = write(store, [Row("[0]", 0, "[666.0]"), Row("[5]", 0, "[666.0]")])
    second = materialise(store, table(store, [1.0, 3.0]), days=2)
    third = materialise(store, table(store, [4.0, 3.0]), days=3)

    assert died < second.sequence < third.sequence
    assert known(store, [0, 1, 5], second.sequence) == ["[1.0]", "[3.0]", None]
    assert known(store, [0, 1, 5], third.sequence) == ["[4.0]", "[3.0]", None]
    assert known(store, [0, 1], first.sequence) == ["[1.0]", "[2.0]"]
    with pytest.raises(Conflict, match="a newer table of spend/1 was published meanwhile"):
        write(store, [Row("[0]", 0, "[1.0]")], sequence=died)


def test_of_two_refreshes_at_once_one_wins_and_rows_that_are_missing_are_noticed(store: Store) -> None:
    declare(store)
    materialise(store, table(store, [1.0]))
    mine, theirs = write(store, [Row("[0]", 0, "[2.0]")]), write(store, [Row("[0]", 0, "[3.0]")])
    assert mine != theirs

    materialise(store, table(store, [3.0]), days=2, sequence=theirs, changed=1)
    with pytest.raises(Conflict, match="somebody refreshed it meanwhile"):
        materialise(store, table(store, [2.0]), days=3, sequence=mine, since=1, changed=1)
    with pytest.raises(Conflict, match="2 rows of spend/1 changed, and 1 were written"):
        materialise(store, table(store, [5.0]), days=4, changed=2)
    assert known(store, [0], theirs) == ["[3.0]"]


def test_a_table_holds_little_more_than_what_it_answers(store: Store) -> None:
    declare(store)

    for day in range(6):
        newest = materialise(store, table(store, [float(day), 1.0]), days=day + 1)

    with store.view() as view:
        there = tables.sequences_of(view, "spend", 1, ["[0]", "[1]"])
    assert [(row.key, row.sequence) for row in there] == [
        ("[0]", newest.sequence),
        ("[0]", newest.sequence - 1),
        ("[1]", 1),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (Row("[true]", 0, "[1.0]"), "no key of an entity"),
        (Row("[1,2]", 0, "[1.0]"), "no key of an entity"),
        (Row("[1]", 0, '["x"]'), "are no features"),
        (Row("[1]", 0, "[1.0,2.0]"), "are no features"),
        (Row("[1]", None, "[1.0]"), "cells without a time"),
        (Row("[ 1]", 0, "[1.0]"), "not written as it is kept"),
        (Row("[1]", 2**70, "[1.0]"), "are no time of a row"),
        (Row("[1]", 0, "[1.0"), "are no features"),
    ],
)
def test_a_row_of_something_else_is_refused(store: Store, row: Row, told: str) -> None:
    declare(store)

    with pytest.raises(Invalid, match=told):
        write(store, [row])
    with pytest.raises(Invalid, match="no table 99 of spend/1 was begun"):
        write(store, [Row("[1]", 0, "[1.0]")], sequence=99)
    with pytest.raises(Invalid, match="from 1 to"):
        write(store, [])


def test_a_table_from_before_rows_were_kept_is_written_whole_by_the_next_refresh(store: Store) -> None:
    declare(store)
    blob = table(store, [1.0])
    with store.change(actor="ana") as change:
        views.materialise(
            change, view="spend", version=1, blob=blob, watermark=START, sequence=None, since=0, changed=0
        )
        change.execute(update(tables.online_tables).values(changed=None))
    with store.view() as view, pytest.raises(Conflict, match="can be looked up"):
        online_rows.lookup(view, "spend", 1, {"id": 0})

    sequence = write(store, [Row("[0]", 0, "[1.0]")])
    materialise(store, blob, days=2, sequence=sequence, since=0, changed=1)

    assert known(store, [0], sequence) == ["[1.0]"]


@pytest.mark.parametrize(
    "facts",
    [
        {"closure": "x"},
        {"columns": []},
        {"columns": [{"name": "a", "type": "number"}]},
        {"entity": [{"name": "id", "type": "float"}]},
        {"definition": {"name": "spend"}},
        {"definition": SPEND | {"ttl": "soon"}},
    ],
)
def test_what_cannot_be_is_refused(store: Store, facts: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        declare(store, **facts)


def test_views_over_http(web) -> None:
    assert web.get("/features").json() == {"items": []}
    body = {"definition": SPEND, "closure": digest_of("c"), "entry": "shop.py:spend"}
    body |= {"entity": [{"name": "id", "type": "int"}], "columns": [{"name": "amount", "type": "float"}]}

    made = web.post("/features", json=body)

    assert (made.status_code, made.json()["id"], made.json()["online"]) == (201, "spend/1", None)
    assert web.post("/features", json=body).status_code == 409
    assert web.get("/features/spend").json()["versions"] == [made.json() | {"kept_rows": 0}]
    assert web.get("/features").json()["items"][0]["versions"] == [made.json()]
    assert web.get("/features/unheard").status_code == web.get("/features/unheard/online").status_code == 404
    assert web.post("/features/spend/lookup", json={"entity": {"id": 1}}).status_code == 409
    job = web.post("/features/spend/materialise", json={"as_of": "2024-01-01", "reason": "fresh"}).json()
    assert (job["kind"], job["body"]["entry"], job["body"]["params"]) == (
        "run_pipeline",
        "shop.py:spend",
        {"as_of": "2024-01-01"},
    )


def test_rows_over_http_as_a_gateway_asks_for_them(web, tmp_path) -> None:
    body = {"definition": SPEND | {"name": "orders"}, "closure": digest_of("c"), "entry": "shop.py:spend"}
    body |= {"entity": [{"name": "id", "type": "int"}], "columns": [{"name": "amount", "type": "float"}]}
    web.post("/features", json=body)

    begun = web.post("/features/orders/rows", json={"version": 1, "rows": [["[1]", 5, "[2.5]"], ["[2]", None, None]]})
    assert (begun.status_code, begun.json()) == (201, {"sequence": 1})
    asked = "/features/orders/rows?version=1&sequence=1&keys="
    assert web.get(asked + "[[1]]").json() == {"items": [None]}  # not published

    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "at": pa.array([START], pa.timestamp("us", "UTC")), "amount": [2.5]}), sink)
    blob = sha256_hex(sink.getvalue())
    web.put(f"/blobs/{blob}", content=sink.getvalue())
    told = {"version": 1, "blob": blob, "watermark": "2012-01-02", "sequence": 1, "since": 0, "changed": 2}
    assert web.post("/features/orders/online", json=told).status_code == 201
    assert web.get(asked + "[[1],[2],[3]]").json() == {"items": [[5, "[2.5]"], None, None]}
    assert web.get("/features/orders/changes?version=1&after=0&until=1").json() == {"keys": ["[1]", "[2]"]}
    control = WireControl(URL, web._transport.token, cache=tmp_path)
    control._wire = Wire(URL, web._transport.token, retry_s=0, transport=web._transport)
    wanted = [rows.key_text([each]) for each in (3, 1)] * 150
    assert control.rows("orders", 1, 1, wanted) == [None, [5, "[2.5]"]] * 150
    assert control.changed("orders", 1, 0, 1) == ["[1]", "[2]"]
    for keys in ("x", "[1]", '{"a":1}', "[[1]"):
        assert web.get(asked + keys).status_code in (400, 422)
    assert web.get(asked + str([[1]] * 201)).status_code == 422
