# SPDX-License-Identifier: Apache-2.0
"""Blobs and datasets over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from mainstay.domain.errors import Malformed, TooLarge
from mainstay.server.api import data
from mainstay.server.principals import Principal
from mainstay.store import Store

CSV = b"a,b\n1,x\n2,y\n"
ANA = Principal(actor="ana", roles=frozenset({"admin"}), via="in-process")


def put(web: httpx.Client, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    assert web.put(f"/blobs/{digest}", content=content).status_code in (200, 201)
    return digest


def make(web: httpx.Client, name: str) -> None:
    assert web.post("/datasets", json={"name": name, "owner": "ana"}).status_code == 201


def take(web: httpx.Client, name: str, content: bytes, **more: Any) -> httpx.Response:
    body = {"blob": put(web, content), "format": "csv"} | more
    return web.post(f"/datasets/{name}/snapshots", json=body, headers={"Idempotency-Key": f"{name}-{body}"})


def test_a_blob_is_new_once_and_comes_back_as_it_was(web: httpx.Client) -> None:
    digest = hashlib.sha256(b"bytes").hexdigest()

    first, second = (
        web.put(f"/blobs/{digest}", content=b"bytes"),
        web.put(f"/blobs/{digest}", content=iter([b"by", b"tes"])),
    )

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == {"digest": digest, "size": 5}
    got = web.get(f"/blobs/{digest}")
    assert (got.content, got.headers["content-disposition"], got.headers["content-type"]) == (
        b"bytes",
        "attachment",
        "application/octet-stream",
    )
    assert web.head(f"/blobs/{digest}").headers["content-length"] == "5"


@pytest.mark.parametrize(
    ("name", "status"), [("0" * 64, 422), ("A" * 64, 422), ("..%2f..%2fetc%2fpasswd", None), ("abc", 422)]
)
def test_bytes_are_kept_under_their_own_digest_only(web: httpx.Client, name: str, status: int | None) -> None:
    answer = web.put(f"/blobs/{name}", content=b"other bytes")

    # What leaves the blobs' path is no route of ours at all.
    assert answer.status_code in ((404, 405) if status is None else (status,))
    assert web.get(f"/blobs/{'0' * 64}").status_code == web.head(f"/blobs/{'0' * 64}").status_code == 404


def test_an_upload_that_is_cut_off_leaves_nothing(store: Store) -> None:
    digest = hashlib.sha256(b"half and the rest").hexdigest()
    messages = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    scope = {"type": "http", "method": "PUT", "path_params": {"digest": digest}, "headers": []}
    with pytest.raises(Malformed, match="cut off"):
        asyncio.run(data.put_blob(request=Request(scope, receive), store=store, actor=ANA))

    assert store.blobs.size(digest) is None
    assert list((store.blobs.folder / "incoming").iterdir()) == []  # type: ignore[attr-defined]


def test_a_blob_that_never_ends_is_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MOST_BLOB_BYTES", 1_000)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * 400, "more_body": True}

    scope = {"type": "http", "method": "PUT", "path_params": {"digest": "0" * 64}, "headers": []}
    with pytest.raises(TooLarge):
        asyncio.run(data.put_blob(request=Request(scope, receive), store=store, actor=ANA))

    assert list((store.blobs.folder / "incoming").iterdir()) == []  # type: ignore[attr-defined]


def test_a_snapshot_is_shown_with_its_profile_and_contract(web: httpx.Client) -> None:
    make(web, "shown")
    made = take(web, "shown", CSV, source="by hand", period={"since": "2013-01-01", "until": "2013-02-01T00:00:00Z"})

    assert made.status_code == 201
    shown = web.get("/snapshots/shown@1").json()
    assert shown == made.json()
    assert (shown["id"], shown["rows"], shown["contract_version"], shown["is_known"]) == ("shown@1", 2, 1, False)
    assert shown["schema"] == [{"name": "a", "type": "integer"}, {"name": "b", "type": "text"}]
    assert [column["name"] for column in shown["profile"]["columns"]] == ["a", "b"]
    assert shown["profile"]["columns"][0]["mean"] == 1.5
    dataset = web.get("/datasets/shown").json()
    assert (dataset["rows_total"], dataset["refs"], [each["id"] for each in dataset["snapshots"]]) == (
        2,
        {"current": 1},
        ["shown@1"],
    )
    assert [column["name"] for column in dataset["contract"]["columns"]] == ["a", "b"]
    assert take(web, "shown", CSV, source="again").json()["is_known"] is True


def test_a_breach_is_422_with_every_problem_and_stays_on_record(web: httpx.Client) -> None:
    make(web, "breached")
    take(web, "breached", CSV)

    answer = take(web, "breached", b"a,c\n1,0.5\n")

    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["kind"], [problem["problem"] for problem in error["facts"]["problems"]]) == (
        "invalid",
        ["missing", "unknown"],
    )
    refusal = web.get(f"/refusals/{error['facts']['refusal']}").json()
    assert refusal["problems"] == error["facts"]["problems"]
    assert web.get("/datasets/breached").json()["refusals"] == [refusal]
    assert web.get("/events", params={"kind": "batch.refused", "subject": "dataset:breached"}).json()["items"] != []


def test_a_breach_that_is_sent_again_is_one_refusal(web: httpx.Client) -> None:
    make(web, "once")
    take(web, "once", CSV)

    first, second = take(web, "once", b"a\n1\n"), take(web, "once", b"a\n1\n")

    assert first.content == second.content
    assert len(web.get("/datasets/once").json()["refusals"]) == 1


def test_an_alias_lets_the_renamed_column_in(web: httpx.Client) -> None:
    make(web, "renamed")
    take(web, "renamed", CSV)
    assert take(web, "renamed", b"a,bee\n3,x\n").status_code == 422

    accepted = web.post(
        "/datasets/renamed/aliases", json={"column": "b", "alias": "bee", "reason": "renamed at the source"}
    )

    assert (accepted.status_code, accepted.json()["version"]) == (201, 2)
    assert take(web, "renamed", b"a,bee\n3,x\n", source="second try").status_code == 201
    assert web.get("/datasets/renamed").json()["refusals"][0]["resolved_by"] == "renamed@2"


@pytest.mark.parametrize(
    ("content", "format", "status", "kind"),
    [
        (b"", "csv", 400, "malformed"),
        (b"PAR1nothingPAR1", "parquet", 400, "malformed"),
        (b"a\n1\n", "excel", 422, "invalid"),
        (b"a,a\n1,2\n", "csv", 422, "invalid"),
    ],
)
def test_bytes_of_no_table_are_one_clear_error(
    web: httpx.Client, content: bytes, format: str, status: int, kind: str
) -> None:
    web.post("/datasets", json={"name": "strange", "owner": "ana"})

    answer = take(web, "strange", content, format=format)

    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)
    assert web.get("/datasets/strange").json()["snapshots"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"blob": "0" * 64, "format": "csv"}, 404),
        ({"blob": "../../x", "format": "csv"}, 422),
        ({"format": "csv"}, 422),
        ({"blob": "0" * 64, "format": "csv", "run_id": "f" * 32}, 404),
        ({"blob": "0" * 64, "format": "csv", "path": "/etc/passwd"}, 422),
        ({"blob": "0" * 64, "format": "csv", "period": {"since": "soon", "until": "late"}}, 422),
    ],
)
def test_a_request_that_names_what_is_not_there_changes_nothing(
    web: httpx.Client, body: dict[str, Any], status: int
) -> None:
    web.post("/datasets", json={"name": "empty", "owner": "ana"})

    assert web.post("/datasets/empty/snapshots", json=body).status_code == status
    assert web.get("/datasets/empty").json()["snapshots"] == []


def test_snapshots_and_datasets_page(web: httpx.Client) -> None:
    make(web, "paged")
    for n in range(3):
        take(web, "paged", b"a\n%d\n" % n)

    first = web.get("/datasets/paged/snapshots", params={"limit": 2}).json()
    rest = web.get("/datasets/paged/snapshots", params={"limit": 2, "after": first["next"]}).json()
    assert [each["number"] for each in first["items"] + rest["items"]] == [3, 2, 1]
    assert rest["next"] is None
    names = [each["name"] for each in web.get("/datasets", params={"limit": 1000}).json()["items"]]
    assert names == sorted(names) and "paged" in names


def test_current_can_be_pointed_back_and_a_contract_replaced(web: httpx.Client) -> None:
    make(web, "moved")
    take(web, "moved", b"a\n1\n")
    take(web, "moved", b"a\n2\n")

    assert web.post("/datasets/moved/refs/current", json={"number": 1}).status_code == 201
    assert web.get("/snapshots/moved@current").json()["number"] == 1
    assert web.post("/datasets/moved/refs/current", json={"number": 9}).status_code == 404
    columns = [{"name": "a", "type": "number", "nullable": True}]
    assert web.post("/datasets/moved/contract", json={"columns": columns}).json()["version"] == 2
    assert web.get("/datasets/moved/contract", params={"version": 1}).json()["columns"][0]["type"] == "integer"
