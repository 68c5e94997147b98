# SPDX-License-Identifier: Apache-2.0
"""What was kept comes back as it was or not at all, and runs nowhere: damaged bytes, pages, climbing names, bombs.

Each piece is brought as a client would bring it; each refusal is one sentence, and the server goes on, no larger than before.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.client.session import Session

from .conftest import House
from .test_logged_model import NAMES, ROWS, fitted, folder_of, registered, released

PAGE = b"<html><script>fetch('/api/people')</script></html>"
CLIMBING = [
    "../secret", "a/../../secret", "..", "%2e%2e/secret", "%252e%252e/secret", "..%2fsecret", "..%252fsecret", "a\\..\\secret",
    "a%5c..%5csecret", "/etc/passwd", "//proc/self/cwd/etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd", "a\x00b", "a%00b",
    "a;/../../secret", "a#/../../secret", "a?/../../secret", "C:/secret", "a/./b", "a//b",
]  # fmt: skip
MOST_BYTES = 96 << 20  # of memory, for a bomb that would need a gigabyte


@pytest.fixture(scope="module")
def web(house: House) -> Iterator[httpx.Client]:
    """The owner, without a client that would know better."""
    headers = {"Authorization": f"Bearer {(house.folder / 'token').read_text().strip()}"}
    with httpx.Client(base_url=house.url, headers=headers, trust_env=False, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def run(web: httpx.Client) -> str:
    return str(web.post("/api/runs", json={"name": "poison"}).json()["id"])


@contextmanager
def no_larger(house: House) -> Iterator[None]:
    """The server is the same process afterwards, and did not need much memory in between."""
    before = house.told()["pid"], peak(house.told()["pid"])
    yield
    assert house.told()["pid"] == before[0]
    assert peak(before[0]) - before[1] < MOST_BYTES


def peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def keep(web: httpx.Client, run: str, path: str, content: bytes) -> str:
    """Send a file as MLflow's client does; where it is."""
    place = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{path}"
    assert web.put(place, content=content).status_code == 200
    return place


def test_one_flipped_byte_of_a_model_is_named_and_never_served(house: House, up: Session, web: httpx.Client) -> None:
    made = registered(up, "flipped", folder_of(fitted(), pickled=False))
    digest = made["files"]["model.skops"]["digest"]
    place = f"/api/2.0/mlflow-artifacts/artifacts/0/{made['run_id']}/artifacts/model/model.skops"
    before = web.get(place).content
    blob = house.folder / "blobs" / digest[:2] / digest
    os.chmod(blob, 0o600)
    blob.write_bytes(before[:100] + bytes([before[100] ^ 1]) + before[101:])

    asked = [
        place,
        f"/get-artifact?run_id={made['run_id']}&path=model/model.skops",
        "/api/2.0/mlflow-artifacts/artifacts/registered-models/flipped/1/model.skops",
        f"/api/blobs/{digest}",
        f"/api/previews/{digest}",
    ]
    for path in asked:
        reply = web.get(path)
        assert reply.status_code >= 400 and digest in reply.text, path
        assert before[:50] not in reply.content
    failed = " ".join(house.say("release", "flipped@1", "--to", "flipped", "--wait", fails=True).split())
    assert "✗ failed" in failed and digest in failed and "damaged" in failed
    assert "✗" in house.say("why", "version:flipped/1", "--verify", fails=True)
    assert house.ask("flipped", [dict(zip(NAMES, ROWS[0].tolist(), strict=True))]).status_code >= 400


def test_a_page_among_the_files_is_handed_out_and_never_shown(web: httpx.Client, run: str) -> None:
    place = keep(web, run, "report/page.html", PAGE)
    digest = web.get(f"/api/runs/{run}").json()["artifacts"][0]["digest"]

    for path in (place, f"/get-artifact?run_id={run}&path=report/page.html", f"/api/blobs/{digest}"):
        reply = web.get(path)
        assert reply.content == PAGE
        assert reply.headers["content-disposition"].startswith("attachment"), path
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("sandbox"), path


@pytest.mark.parametrize("path", CLIMBING)
def test_a_name_that_climbs_names_nothing(house: House, web: httpx.Client, run: str, path: str) -> None:
    content = web.get(f"/api/runs/{run}").json()["artifacts"][:1]
    digest, size = (content[0]["digest"], content[0]["size"]) if content else (put(web, b"x"), 1)
    web.post("/api/models", json={"name": "climbing"})

    taken = [
        web.post(f"/api/runs/{run}/artifacts", json={"path": path, "digest": digest, "size": size}),
        web.post("/api/models/climbing/folders", json={"run_id": run, "path": path}),
        web.post(
            "/api/models/climbing/versions",
            json={"run_id": run, "format": "sklearn", "files": {path: digest}, "environment": {}, "signature": {}},
        ),
        web.get("/get-artifact", params={"run_id": run, "path": path}),
        web.get("/api/2.0/mlflow/artifacts/list", params={"run_id": run, "path": path}),
        web.post("/api/2.0/mlflow/model-versions/create", json={"name": "climbing", "source": f"file:{path}"}),
    ]

    told = [(reply.request.url.path, reply.status_code) for reply in taken if not 400 <= reply.status_code < 500]
    assert harmless(path, told) == []
    assert not [file for file in house.folder.parent.rglob("*") if file.name in ("secret", "passwd")]


def harmless(path: str, told: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """What was taken, less that where a listing of nothing is an answer."""
    return [(where, status) for where, status in told if (where, status) != ("/api/2.0/mlflow/artifacts/list", 200)]


def put(web: httpx.Client, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    assert web.put(f"/api/blobs/{digest}", content=content).status_code in (200, 201)
    return digest


@pytest.mark.parametrize("raw", [
    "/..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd", "//etc/passwd",
    "/assets/%2e%2e/%2e%2e/app.py", "/assets/..;/..;/etc/passwd", "/api/blobs/..%2f..%2fmainstay.db",
    "/api/blobs/%2fetc%2fpasswd", "/api/previews/..%2ftoken", "/api/runs/..%2f..%2ftoken", "/api/why/..%2f..%2ftoken",
    "/assets/..%5c..%5ctoken", "/assets/..%252f..%252ftoken", "/get-artifact/..%2ftoken", "/static/%00token",
])  # fmt: skip
def test_an_address_that_climbs_shows_no_file(house: House, raw: str) -> None:
    # By hand: a client library would tidy the address up before it is sent.
    token = (house.folder / "token").read_text().strip()
    url = httpx.URL(house.url)
    connection = http.client.HTTPConnection(url.host, url.port, timeout=60)
    connection.request("GET", raw, headers={"Authorization": f"Bearer {token}"})
    reply = connection.getresponse()
    content = reply.read()
    connection.close()

    assert reply.status < 500
    for hidden in (b"root:", token.encode(), b"SQLite format", b"SPDX-License"):
        assert hidden not in content


def test_a_link_in_the_store_leads_nowhere(house: House, web: httpx.Client, run: str) -> None:
    """Whoever can write to the disk cannot make the server hand out another file."""
    digest = put(web, b"about to become a link")
    keep(web, run, "linked.txt", b"about to become a link")
    blob = house.folder / "blobs" / digest[:2] / digest
    blob.unlink()
    blob.symlink_to(house.folder / "token")

    for path in (f"/api/blobs/{digest}", f"/get-artifact?run_id={run}&path=linked.txt"):
        reply = web.get(path)
        assert reply.status_code >= 400
        assert (house.folder / "token").read_text().strip() not in reply.text


def test_a_packed_bomb_of_traces_is_refused_in_a_small_memory(house: House, web: httpx.Client) -> None:
    bomb = gzip.compress(bytes(1 << 30), compresslevel=9)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}

    with no_larger(house):
        reply = web.post("/v1/traces", content=bomb, headers=headers)

    assert (len(bomb) < 2 << 20, reply.status_code) == (True, 413)


def test_a_description_that_unfolds_without_end_is_plain_files(house: House, up: Session, web: httpx.Client) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True)
    )
    with no_larger(house):
        made = registered(up, "unfolding", folder_of(fitted(), pickled=False) | {"MLmodel": bomb.encode()})

    assert made["format"] == "files"
    refused = house.say("release", "unfolding@1", "--to", "unfolding", "--wait", fails=True)
    assert len(refused.strip().splitlines()) == 1


def test_an_archive_that_unpacks_without_end_is_refused_by_the_worker(house: House, up: Session) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps({"content": {}}))
        with archive.open("0.npy", "w", force_zip64=True) as member:
            for _ in range(400):
                member.write(bytes(1 << 20))
    files: dict[str, Any] = folder_of(fitted(), pickled=False) | {"model.skops": packed.getvalue()}

    with no_larger(house):
        registered(up, "unpacking", files)
        release = released(up, "unpacking", 1)

    assert release["state"] == "refused"
    assert "compressed" in release["gates"][0]["sentence"]


def test_after_all_that_the_ledger_verifies(house: House) -> None:
    house.say("audit", "verify")
