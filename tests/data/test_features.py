# SPDX-License-Identifier: Apache-2.0
"""Versions of feature views and their online tables: numbered by content, and answered from by their own version only."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.features import ViewVersion
from mainstay.features import definitions
from mainstay.lifecycle.data.features import views
from mainstay.store import Store

START = datetime(2024, 1, 1, tzinfo=UTC)
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


def materialise(store: Store, blob: str, version: int = 1, days: float = 1.0) -> Any:
    with store.change(actor="ana") as change:
        return views.materialise(
            change, view="spend", version=version, blob=blob, watermark=START + timedelta(days=days)
        )


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
        assert views.lookup(view, "spend", 1, {"id": 1})[0]["amount"] == 3.0
        assert views.lookup(view, "spend", 1, {"id": 9}) == []
        for entity in ({"id": "x"}, {}, {"other": 1}):
            with pytest.raises(Invalid):
                views.lookup(view, "spend", 1, entity)
    with pytest.raises(Conflict, match="would take back what happened since"):
        materialise(store, old, days=1.5)


def test_a_table_of_something_else_is_refused(store: Store) -> None:
    declare(store)

    for blob, told in (
        (table(store, [1.0], more=[1]), "other columns than spend/1"),
        (store.blobs.put(b"a,b\n1,2\n")[0], "is not Parquet"),
    ):
        with pytest.raises(Invalid, match=told):
            materialise(store, blob)
    for version, blob in ((7, table(store, [1.0])), (1, "0" * 64)):
        with pytest.raises(NotFound):
            materialise(store, blob, version=version)


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
    assert web.get("/features/spend").json()["versions"] == [made.json()]
    assert web.get("/features/unheard").status_code == web.get("/features/unheard/online").status_code == 404
    assert web.post("/features/spend/lookup", json={"entity": {"id": 1}}).status_code == 409
    job = web.post("/features/spend/materialise", json={"as_of": "2024-01-01", "reason": "fresh"}).json()
    assert (job["kind"], job["body"]["entry"], job["body"]["params"]) == (
        "run_pipeline",
        "shop.py:spend",
        {"as_of": "2024-01-01"},
    )
