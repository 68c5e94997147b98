# SPDX-License-Identifier: Apache-2.0
"""Large files in parts: sent in any order, joined by their numbers, and a file only when all of them are there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ..conftest import Served, talk

MPU = "/api/2.0/mlflow-artifacts/mpu/"


@pytest.fixture
def folder(served: Served) -> str:
    """Where a run's files are."""
    made = served.ask("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"})
    return f"0/{made.json()['run']['info']['run_id']}/artifacts/deep"


def begun(served: Served, folder: str, parts: int) -> dict[str, Any]:
    reply = served.ask("POST", f"{MPU}create/{folder}", json={"path": "data/big.bin", "num_parts": parts})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def put(credential: dict[str, Any], data: bytes) -> dict[str, Any]:
    """One part, as a client sends it: with no credentials but those it was told."""
    reply = httpx.put(credential["url"], content=data, headers=credential["headers"], trust_env=False)
    assert reply.status_code == 200, reply.text
    return {"part_number": credential["part_number"], "etag": reply.headers["etag"], "url": credential["url"]}


def ended(served: Served, folder: str, upload: str, parts: list[dict[str, Any]]) -> httpx.Response:
    body = {"path": "data/big.bin", "upload_id": upload, "parts": parts}
    return served.ask("POST", f"{MPU}complete/{folder}", json=body)


def test_parts_come_in_any_order_and_become_one_file(served: Served, folder: str) -> None:
    upload = begun(served, folder, 3)
    pieces = [bytes([n]) * (100_000 + n) for n in range(3)]

    parts = [put(upload["credentials"][n], pieces[n]) for n in (2, 0, 1)]
    before = served.ask("GET", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/big.bin")
    made = ended(served, folder, upload["upload_id"], parts)

    assert (before.status_code, made.status_code) == (404, 200)
    assert served.ask("GET", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/big.bin").content == b"".join(pieces)


@pytest.mark.parametrize("odd", ["missing", "twice", "none", "not an ETag", "unknown"])
def test_a_file_is_not_made_of_what_is_not_there(served: Served, folder: str, odd: str) -> None:
    upload = begun(served, folder, 2)
    one, two = (put(credential, b"x") for credential in upload["credentials"])
    parts = {
        "missing": [two],
        "twice": [one, one],
        "none": [],
        "not an ETag": [one, two | {"etag": "../x"}],
        "unknown": [one, two | {"etag": "0" * 64}],
    }[odd]

    reply = ended(served, folder, upload["upload_id"], parts)

    assert reply.status_code == (404 if odd == "unknown" else 400), reply.text
    assert served.ask("GET", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/big.bin").status_code == 404


def test_an_upload_that_is_given_up_leaves_no_file(served: Served, folder: str) -> None:
    upload = begun(served, folder, 1)
    put(upload["credentials"][0], b"x")

    body = {"path": "data/big.bin", "upload_id": upload["upload_id"]}
    assert served.ask("POST", f"{MPU}abort/{folder}", json=body).status_code == 200
    assert served.ask("GET", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/big.bin").status_code == 404


@pytest.mark.parametrize(
    ("where", "body", "status"),
    [
        ("0/" + "0" * 32 + "/artifacts", {"path": "a", "num_parts": 1}, 404),
        ("anywhere", {"path": "a", "num_parts": 1}, 400),
        ("{folder}/..%2f..", {"path": "a", "num_parts": 1}, 400),
        ("{folder}", {"path": "..", "num_parts": 1}, 400),
        ("{folder}", {"path": "a", "num_parts": 0}, 400),
        ("{folder}", {"path": "a", "num_parts": 10_001}, 400),
        ("{folder}", {"num_parts": 1}, 400),
    ],
)
def test_an_upload_begins_only_where_a_file_may_be(
    served: Served, folder: str, where: str, body: dict[str, Any], status: int
) -> None:
    assert served.ask("POST", f"{MPU}create/{where.format(folder=folder)}", json=body).status_code == status


def test_a_part_is_sent_with_the_credentials_of_whoever_began(served: Served, folder: str) -> None:
    [credential] = begun(served, folder, 1)["credentials"]

    assert credential["headers"] == {"Authorization": f"Bearer {served.token}"}
    odd = httpx.put(credential["url"], content=b"x", headers={"Authorization": "Bearer nobody"}, trust_env=False)
    assert odd.status_code == 401


LARGE = """
import json, os, tempfile
import mlflow
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "large.bin")
    with open(path, "wb") as file:
        file.write(os.urandom(11 << 20))
    with mlflow.start_run() as run:
        mlflow.log_artifact(path, "deep")
    got = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="deep/large.bin", dst_path=folder + "/x")
    print(json.dumps({"same": open(got, "rb").read() == open(path, "rb").read()}))
"""


def test_a_client_that_is_told_to_sends_parts(served: Served) -> None:
    parts = {
        "MLFLOW_TRACKING_TOKEN": served.token,
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1",
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 << 20),
    }

    assert talk(served.url, LARGE, **parts)["same"] is True
