# SPDX-License-Identifier: Apache-2.0
"""What is stored, over HTTP: many blobs at once, manifests of files from strangers, verify, export, and collecting."""

from __future__ import annotations

import io
import os
import struct
import time
from collections.abc import Callable
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from mainstay.client.inprocess import InProcess
from mainstay.domain import folders
from mainstay.domain.digests import canonical_json, sha256_hex
from mainstay.store.blobs.local import LocalBlobs


def framed(*objects: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(each)) + each for each in objects)


def keep(web: httpx.Client) -> Callable[[bytes], str]:
    def put(data: bytes) -> str:
        digest = sha256_hex(data)
        assert web.put(f"/blobs/{digest}", content=data).status_code in (200, 201)
        return digest

    return put


def age(web: httpx.Client) -> None:
    """Nobody has touched anything for two days."""
    transport = web._transport
    assert isinstance(transport, InProcess)
    blobs = transport.store.blobs
    assert isinstance(blobs, LocalBlobs)
    for file in blobs.folder.rglob("*"):
        if file.is_file():
            os.utime(file, (time.time() - 48 * 3600,) * 2)


def handed_in(web: httpx.Client, name: str, manifest: str) -> httpx.Response:
    web.post("/datasets", json={"name": name, "owner": "ana"})
    return web.post(f"/datasets/{name}/snapshots", json={"blob": manifest, "format": "files"})


def test_many_come_in_one_request_and_what_is_missing_is_told(web: httpx.Client) -> None:
    objects = [b"one", b"", b"three" * 100_000]
    names = [sha256_hex(each) for each in objects]
    assert web.post("/blobs/missing", json={"digests": [*names, "0" * 64]}).json()["missing"] == [*names, "0" * 64]

    answer = web.post("/blobs", content=framed(*objects))

    assert (answer.status_code, answer.json()["digests"]) == (201, names)
    assert web.post("/blobs/missing", json={"digests": [*names, "0" * 64]}).json()["missing"] == ["0" * 64]
    assert web.get(f"/blobs/{names[2]}").content == objects[2]


@pytest.mark.parametrize(
    ("body", "status"), [(framed(b"one")[:-1], 400), (b"\x01", 400), (struct.pack("<I", 1 << 31) + b"x", 422)]
)
def test_a_body_that_is_cut_or_claims_too_much_keeps_nothing(web: httpx.Client, body: bytes, status: int) -> None:
    assert web.post("/blobs", content=framed(b"never kept, " + body[:2]) + body).status_code == status
    digest = sha256_hex(b"never kept, " + body[:2])
    assert web.post("/blobs/missing", json={"digests": [digest]}).json()["missing"] == [digest]


def test_only_digests_are_asked_for(web: httpx.Client) -> None:
    assert web.post("/blobs/missing", json={"digests": ["../token"]}).status_code == 422


# Manifests, which a stranger may write by hand


def test_a_manifest_is_taken_when_all_it_names_is_here(web: httpx.Client) -> None:
    put = keep(web)
    file = folders.File(path="sub/a.txt", digest=put(b"a"), size=1)
    gone = folders.File(path="gone.txt", digest="0" * 64, size=1)
    whole, _ = folders.write([file], put)
    lacking, _ = folders.write([file, gone], put)

    refused = handed_in(web, "by-hand", lacking)
    taken = handed_in(web, "by-hand", whole)

    assert refused.status_code == 422 and refused.json()["error"]["facts"]["missing"] == ["0" * 64]
    assert (taken.status_code, taken.json()["kind"], taken.json()["rows"]) == (201, "files", 1)
    found = web.get("/snapshots/by-hand@1/files").json()
    assert [(each["path"], each["size"]) for each in found["items"]] == [("sub/a.txt", 1)]
    assert web.get("/snapshots/by-hand@1/export").status_code == 422


@pytest.mark.parametrize(
    "entries",
    [
        {"..": ["file", "F", 1]},
        {"a/b": ["file", "F", 1]},
        {"": ["file", "F", 1]},
        {"a\n": ["file", "F", 1]},
        {"a": ["file", "F", -1]},
        {"a": ["file", "F", True]},
        {"a": ["file", "../../token", 1]},
        {"a": ["link", "F", 1]},
        {"a": ["chunks", "F", 1]},
        {"a": "F"},
    ],
)
def test_a_manifest_that_could_not_be_laid_out_is_refused(web: httpx.Client, entries: dict[str, Any]) -> None:
    put = keep(web)
    digest = put(b"a")
    filled = {
        name: [digest if part == "F" else part for part in entry] if isinstance(entry, list) else entry
        for name, entry in entries.items()
    }
    root = put(canonical_json({"entries": filled}))
    manifest = put(canonical_json({"form": 1, "kind": "files", "files": 1, "size": 1, "root": root}))

    answer = handed_in(web, "strange", manifest)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "change",
    [{"files": 2}, {"size": 2}, {"form": 2}, {"kind": "table"}, {"root": "x"}, {"more": 1}],
    ids=lambda change: next(iter(change)),
)
def test_a_root_that_says_something_else_is_refused(web: httpx.Client, change: dict[str, Any]) -> None:
    put = keep(web)
    root = put(canonical_json({"entries": {"a": ["file", put(b"a"), 1]}}))
    manifest = put(canonical_json({"form": 1, "kind": "files", "files": 1, "size": 1, "root": root} | change))

    assert handed_in(web, "untrue", manifest).status_code == 422


def test_a_folder_inside_itself_ends(web: httpx.Client) -> None:
    """No digest can name itself, but a chain of folders may be as long as its writer likes."""
    put = keep(web)
    place = put(canonical_json({"entries": {"a": ["file", put(b"a"), 1]}}))
    for _ in range(200):
        place = put(canonical_json({"entries": {"d": ["folder", place]}}))
    manifest = put(canonical_json({"form": 1, "kind": "files", "files": 1, "size": 1, "root": place}))

    assert handed_in(web, "deep", manifest).status_code == 422


def test_the_files_of_a_snapshot_are_paged_in_order(web: httpx.Client) -> None:
    put = keep(web)
    names = ["a", "a.b", "a b/x", "b/a", "b/c", "z"]
    manifest, _ = folders.write([folders.File(path=name, digest=put(b"a"), size=1) for name in names], put)
    assert handed_in(web, "paged", manifest).status_code == 201

    seen, after = [], ""
    for _ in range(10):
        page = web.get("/snapshots/paged@1/files", params={"limit": 2, "after": after}).json()
        seen += [each["path"] for each in page["items"]]
        after = page["next"]
        if after is None:
            break

    assert sorted(seen) == sorted(names) and len(seen) == len(names)


# Tables


def test_a_table_is_exported_as_parquet_and_csv(web: httpx.Client) -> None:
    digest = keep(web)(b"day,n\n2013-01-01,1\n2013-01-02,\n")
    web.post("/datasets", json={"name": "exported", "owner": "ana"})
    assert web.post("/datasets/exported/snapshots", json={"blob": digest, "format": "csv"}).status_code == 201

    parquet = web.get("/snapshots/exported@1/export")
    csv = web.get("/snapshots/exported@1/export?format=csv")

    assert pq.read_table(io.BytesIO(parquet.content)).num_rows == 2
    assert csv.text.splitlines() == ['"day","n"', "2013-01-01,1", "2013-01-02,"]
    assert 'filename="exported-1.csv"' in csv.headers["content-disposition"]
    assert web.get("/snapshots/exported@1/export?format=xls").status_code == 422
    assert web.post("/snapshots/exported@1/verify").json()["sound"]
    assert web.post("/snapshots/exported@9/verify").status_code == 404


# Collecting


def test_collecting_over_http_counts_first_and_keeps_what_is_young(web: httpx.Client) -> None:
    keep(web)(b"nobody refers to it")

    counted = web.post("/gc", json={}).json()
    taken = web.post("/gc", json={"delete": True, "reason": "room"}).json()

    assert counted["deleted"] is False and taken["deleted"] is True
    assert taken["objects"] == 0 and taken["young"] >= 1
    assert web.get("/events?kind=store.collected").json()["items"][0]["reason"] == "room"
    assert web.post("/gc", json={"grace_s": 60}).status_code == 422


def test_what_is_dropped_is_told_by_kind_and_says_who_freed_it(web: httpx.Client) -> None:
    put = keep(web)
    web.post("/datasets", json={"name": "dropped", "owner": "ana"})
    for rows in (b"a\n1\n2\n", b"a\n1\n3\n"):
        web.post("/datasets/dropped/snapshots", json={"blob": put(rows), "format": "csv"})
    assert web.post("/snapshots/dropped@2/drop", json={}).status_code == 409

    dropped = web.post("/snapshots/dropped@1/drop", json={"reason": "a trial"}).json()
    assert dropped["dropped_at"] and web.get("/snapshots/dropped@1").json()["dropped_at"]
    assert web.post("/snapshots/dropped@1/restore", json={}).json()["dropped_at"] is None
    web.post("/snapshots/dropped@1/drop", json={})
    age(web)
    counted = web.post("/gc", json={"kept_away_s": 0}).json()
    [kind] = [each for each in counted["kinds"] if each["what"] == "dropped snapshots"]
    web.post("/gc", json={"kept_away_s": 0, "delete": True})

    assert kind["objects"] >= 3 and kind["oldest"]
    examined = web.post("/snapshots/dropped@1/verify").json()
    assert not examined["sound"] and examined["freed"].startswith("freed by gc on")
    missed = web.get(f"/blobs/{dropped['blob']}")
    assert missed.status_code == 404 and "freed by gc on" in missed.json()["error"]["message"]
    assert web.post("/snapshots/dropped@2/verify").json()["sound"]
